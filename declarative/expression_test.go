package declarative_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/skaldhq/skald/declarative"
)

const parcel = `{"n":7,"price":2.5,"five":5.0,"big":12345678901234567890.5,"long":9007199254740993,"s":"a<b","list":[3,1,2],"o":{"z":1,"a":2,"m":3},"at":"2026-11-28T18:00:00Z","none":null}`

func evaluate(t testing.TB, text string) (string, error) {
	t.Helper()
	x, err := declarative.NewCEL()
	if err != nil {
		t.Fatal(err)
	}
	e, err := x.Compile(text)
	if err != nil {
		return "", fmt.Errorf("compile: %w", err)
	}
	out, err := e.Evaluate([]byte(parcel), map[string][]byte{"stock.reserve": []byte(`{"shelf":"x","count":4}`), "ask": nil})
	return string(out), err
}

func TestWhatExpressionsMake(t *testing.T) {
	for text, want := range map[string]string{
		`input.n * 2`:                              `14`,
		`input.n * input.price`:                    `17.5`,
		`2 * input.five + input.n`:                 `17`,
		`input.five == 5`:                          `true`,
		`input.n / 7`:                              `1`,
		`double(input.n) / 2`:                      `3.5`,
		`input.long + 1`:                           `9007199254740994`,
		`input.s + "!"`:                            `"a\u003cb!"`,
		`steps["stock.reserve"].count - 1`:         `3`,
		`{"b": input.n, "a": [input.price, null]}`: `{"a":[2.5,null],"b":7}`,
		`input.o.map(k, k)`:                        `["a","m","z"]`,
		`{"z": 1, "a": 2, "m": 3}.map(k, k)`:       `["a","m","z"]`,
		`input.list.filter(x, x > 1)`:              `[3,2]`,
		`input.?nothing`:                           ``,
		`input.?n.orValue(3)`:                      `7`,
		`has(input.nothing) ? 1 : 2`:               `2`,
		`input.none == null`:                       `true`,
		`steps.ask == null`:                        `true`,
		`timestamp(input.at) + duration("90s")`:    `"2026-11-28T18:01:30Z"`,
		`input.s.upperAscii()`:                     `"A\u003cB"`,
		`math.floor(input.price)`:                  `2`,
		`input.five`:                               `5`,
	} {
		for range 5 { // the order of an object's members is one
			if got, err := evaluate(t, text); err != nil || got != want {
				t.Errorf("%s makes %s, %v; want %s", text, got, err, want)
			}
		}
	}
}

func TestWhatExpressionsRefuse(t *testing.T) {
	for text, want := range map[string]string{
		`input.n / 2`:                  "does not come out even",
		`input.nothing`:                "no such key",
		`input.big + 1.0`:              "more digits",
		`input`:                        "more digits",
		`input.n / 0`:                  "division by zero",
		`input.price / 0.0`:            "no number",
		`input.s + 1`:                  "no such overload",
		`{1: 2}`:                       "as the name of a member",
		`input.n +`:                    "compile: at character 10: it ends where a value is missing: add it",
		`inptu.n`:                      "at character 1: inptu is not known here: is input meant?",
		`foo(input.n)`:                 "foo is not known here: values begin with input or steps",
		`(input.n`:                     "it ends where ) is missing: add it",
		`input.n ? 1`:                  "it ends where : is missing: add it",
		`{1 2}`:                        "at character 4: : is missing before 2: add it",
		`input.n input.s`:              "at character 9: input does not belong here",
		`input.n ** 2`:                 "* does not belong here",
		`"x`:                           "a text is not closed",
		`input.n = 3`:                  "= alone means nothing: == compares",
		`input.n # 3`:                  "# is no part of an expression",
		`"a" + 1`:                      "+ does not take (string, int)",
		`"a" && true`:                  "this is of type string and has to be of type bool",
		`has(input)`:                   "write it as has(input.sku)",
		`99999999999999999999`:         "this number cannot be kept",
		`steps`:                        "name a step",
		`steps[input.s]`:               "name a step",
		`has(steps.ask)`:               "whether there is a step is known",
		`input.list.map(steps, steps)`: "which is a name here",
		`string(input.n) + 'x'.replace('x', '` + strings.Repeat("y", 5000) + `')`: "4096 are allowed",
		"input.n\n+ input.m.": "at line 2, character",
	} {
		if got, err := evaluate(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s makes %s, %v; want an error with %q", text, got, err, want)
		} else if strings.Contains(err.Error(), "Syntax error") || strings.Contains(err.Error(), "expecting") {
			t.Errorf("%.60s is told of in the words of a parser: %v", text, err)
		}
	}
}

// Whatever a definition says, making an input is bounded in time, memory and size.
func TestExpressionsAreBounded(t *testing.T) {
	ten := "[1,2,3,4,5,6,7,8,9,10]"
	for name, text := range map[string]string{
		"time":   strings.Repeat(ten+".all(x, ", 7) + "true" + strings.Repeat(")", 7),
		"size":   strings.Repeat(ten+".map(x, ", 4) + `"` + strings.Repeat("long ", 40) + `"` + strings.Repeat(")", 4),
		"memory": strings.Repeat(ten+".map(x, ", 5) + "[x,x,x]" + strings.Repeat(")", 5),
		"depth":  strings.Repeat("(", 500) + "1" + strings.Repeat(")", 500),
		"width":  `"` + strings.Repeat("a", 1000) + `".replace("", "` + strings.Repeat("b", 2000) + `").size()`,
		"text":   `["` + strings.Repeat("a", 1000) + `"]` + strings.Repeat(".map(x, x + x)", 100),
		"regexp": `input.s.matches("(a{1,100}){1,100}")`,
	} {
		began := time.Now()
		got, err := evaluate(t, text)
		if err == nil {
			t.Errorf("%s: it makes %d bytes", name, len(got))
		}
		t.Logf("%s: %.120v %s", name, err, time.Since(began))
	}
}
