package mailbox_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/skaldhq/skald/examples/commande/mail"
	"github.com/skaldhq/skald/examples/commande/mailbox"
)

const childFile = "MAILBOX_TEST_FILE"

// TestMain makes this binary a mailbox when it is started as one, to be killed.
func TestMain(m *testing.M) {
	path := os.Getenv(childFile)
	if path == "" {
		os.Exit(m.Run())
	}
	box, err := mailbox.Open(path)
	if err != nil {
		panic(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr())
	panic(box.Serve(listener))
}

func TestAcknowledgedMessageSurvivesKill(t *testing.T) {
	path := file(t)
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childFile+"="+path)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	r := &running{address: strings.TrimSpace(address)}
	for i := range 3 {
		r.send(t, mail.Message{Key: fmt.Sprint(i), To: "zoe@example.com", Subject: "s", Text: "t"})
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err == nil {
		t.Fatal("the child ended by itself")
	}
	if list := start(t, path).list(t, mailbox.Query{}); len(list) != 3 {
		t.Errorf("%d messages of 3 acknowledged are left", len(list))
	}
}
