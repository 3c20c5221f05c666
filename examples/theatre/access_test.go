package theatre_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/examples/browsertest"
	"github.com/skaldhq/skald/examples/theatre"
)

// signIn signs somebody in whose key was made for a role.
func signIn(t *testing.T, b *browsertest.Browser, x *theatre.Theatre, name string, role access.Role) {
	t.Helper()
	key, err := x.Key(t.Context(), name, role)
	if err != nil {
		t.Fatal(err)
	}
	b.Fill("key", key)
	b.Click("sign-in")
	b.Sees(within("who", fmt.Sprintf(`[title*="as %s,"]`, name)))
}

// signOut leaves by the button that a person uses.
func signOut(b *browsertest.Browser) {
	b.Click("who")
	b.Click("sign-out")
	b.Sees(within("key"))
}

// cookies are those that the browser keeps, also where scripts cannot read them.
func cookies(b *browsertest.Browser) []*network.Cookie {
	return browsertest.Read(b, "read the cookies", chromedp.Action[[]*network.Cookie](func(ctx context.Context, _ *chromedp.Target) ([]*network.Cookie, error) {
		found, err := chromedp.Call(ctx, network.GetCookies, network.GetCookiesParams{})
		if err != nil {
			return nil, err
		}
		return found.Cookies, nil
	}))
}

// Whoever is not known signs in with a key, which becomes a session that no script can read and no other site can use; signing out ends it, also for whoever kept the cookie.
func TestPersonSignsInAndOut(t *testing.T) {
	t.Parallel()
	x := openWith(t, theatre.Config{Guarded: true})
	begin(t, x, "well", skald.Orchestrated, "")
	b := chromium.Open(t, 1280, 900)
	b.Visit(x.URL() + "/#/sagas/well")
	b.Sees(within("key"))
	b.Shoot("sign-in")
	b.Fill("key", "skald_nobodys_key")
	b.Click("sign-in")
	b.Shows(within("fault"), "not known here")
	if value := browsertest.Says[string](b, `document.querySelector("[data-testid=key]").value`); value != "" {
		t.Errorf("the field still has the key %q", value)
	}
	signIn(t, b, x, "Grace", access.Operator)
	b.Shows(within("state"), "Completed") // where somebody wanted to go
	b.Sees(within("graph"))

	kept := cookies(b)
	if len(kept) != 1 || !kept[0].HTTPOnly || kept[0].SameSite != network.CookieSameSiteStrict {
		said, _ := json.Marshal(kept)
		t.Errorf("the session's cookies are %s", said)
	}
	if found := browsertest.Says[string](b, `document.cookie + JSON.stringify({...localStorage, ...sessionStorage})`); found != "{}" {
		t.Errorf("scripts can read %q", found)
	}
	b.Run("come again", chromedp.Reload())
	b.Sees(within("who", `[title="Signed in as Grace, operator"]`))

	const asks = `fetch("/v1/sagas").then((answer) => answer.status)`
	if status := browsertest.Read(b, "ask", chromedp.Evaluate[int](asks, chromedp.EvalAwaitPromise)); status != 200 {
		t.Errorf("signed in, the API answers %d", status)
	}
	signOut(b)
	if status := browsertest.Read(b, "ask", chromedp.Evaluate[int](asks, chromedp.EvalAwaitPromise)); status != 401 {
		t.Errorf("signed out, the API answers %d", status)
	}
	for _, c := range kept {
		b.Run("put the old cookie back", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
			_, err := chromedp.Call(ctx, network.SetCookie, network.SetCookieParams{Name: c.Name, Value: c.Value, URL: x.URL()})
			return err
		}))
	}
	if status := browsertest.Read(b, "ask", chromedp.Evaluate[int](asks, chromedp.EvalAwaitPromise)); status != 401 {
		t.Errorf("with the cookie of a session that was ended, the API answers %d", status)
	}
}

// Whoever may not do something is told who may, before the attempt where the page can know it; and who did what stands in the audit log and at the saga.
func TestPagesSayWhoMayAndWhoDid(t *testing.T) {
	t.Parallel()
	x := openWith(t, theatre.Config{Guarded: true})
	begin(t, x, "full", skald.Orchestrated, theatre.FullBox)
	until(t, x, "full", "it is stuck", stuck)
	b := chromium.Open(t, 1280, 900)
	b.Visit(x.URL() + "/#/sagas/full")
	signIn(t, b, x, "Ada", access.Reader)
	b.Click("verb-retry")
	b.Shows(within("may-not"), "Ada, who is signed in, is reader")
	b.Run("say why", chromedp.SendKeys(within("reason"), "let me"))
	sees(t, b, `document.querySelector("[data-testid=confirm]").disabled`)
	b.Shoot("reader")
	b.Run("leave it", chromedp.KeyEvent("\x1b"))
	sees(t, b, `!document.querySelector("dialog")`)
	b.Click("nav-audit")
	b.Shows(within("fault"), "It takes the role operator")
	b.Shows(within("fault"), `"Ada" has the role reader`)
	b.Shoot("not-allowed")
	b.Click("sign-in-anew")
	b.Sees(within("key"))

	signIn(t, b, x, "Grace", access.Operator)
	b.Click("nav-incidents")
	x.Mend(theatre.FullBox)
	b.Click("verb-retry")
	b.Shows(within("decides"), "Grace")
	b.Run("say why", chromedp.SendKeys(within("reason"), "the box was emptied"))
	b.Click("confirm")
	until(t, x, "full", "it has ended", ended)
	sees(t, b, `!document.querySelector("dialog")`)
	b.Click("nav-audit")
	b.Shows(within("change", `[data-what="resolveIncident"]`), "the box was emptied")
	if said := b.Shows(within("change", `[data-what="resolveIncident"]`), "Grace"); said == "" {
		t.Error("nobody is named")
	}
	b.Shows(within("changes"), "Sign out")
	b.Shoot("audit")
	b.Run("only decisions", chromedp.SetValue(within("filter-what"), "resolveIncident"), chromedp.Evaluate[chromedp.Void](`void document.querySelector('[data-testid="filter-what"]').dispatchEvent(new Event("change", { bubbles: true }))`))
	sees(t, b, `location.hash === "#/audit?what=resolveIncident" && document.querySelectorAll("[data-testid=change]").length === 1`)
	b.Run("to the saga", chromedp.Click(within("change", " a"), chromedp.NodeVisible))
	b.Click("tab-changes")
	b.Shows(within("changes"), "the box was emptied")
	b.Shoot("saga")
	resize(b, 400, "dark")
	b.Shoot("saga-narrow")
	if b.ScrollsSideways() {
		t.Error("the saga scrolls sideways at 400 pixels")
	}
	b.Click("nav-more")
	b.Shoot("more-narrow")
	b.Click("more-audit")
	b.Sees(within("change"))
	b.Shoot("audit-narrow")
	if b.ScrollsSideways() {
		t.Error("the audit log scrolls sideways at 400 pixels")
	}
	b.Click("who")
	b.Sees(within("sign-out"))
	b.Shoot("who-narrow")
}
