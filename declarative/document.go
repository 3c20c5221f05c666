package declarative

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/skaldhq/skald"
)

// nature is what a node of a document is.
type nature uint8

const (
	scalar nature = iota
	list
	object
)

// node is a value of a document, and where it is written.
type node struct {
	kind  nature
	at    skald.Position
	value json.RawMessage // of a scalar
	names []string        // of an object's members, in the order of the text
	keys  []skald.Position
	nodes []*node // an object's values, or a list's
}

// member is the value of an object's member, or nil.
func (n *node) member(name string) *node {
	if n == nil || n.kind != object {
		return nil
	}
	for i := range n.names {
		if n.names[i] == name {
			return n.nodes[i]
		}
	}
	return nil
}

// drop takes a member out.
func (n *node) drop(name string) {
	for i := range n.names {
		if n.names[i] == name {
			n.names, n.keys, n.nodes = append(n.names[:i:i], n.names[i+1:]...), append(n.keys[:i:i], n.keys[i+1:]...), append(n.nodes[:i:i], n.nodes[i+1:]...)
			return
		}
	}
}

// child follows one token of a path.
func (n *node) child(token string) *node {
	if n.kind == list {
		i, err := strconv.Atoi(token)
		if err != nil || i < 0 || i >= len(n.nodes) {
			return nil
		}
		return n.nodes[i]
	}
	return n.member(token)
}

// find follows a path as far as it goes.
func (n *node) find(path []string) *node {
	for _, token := range path {
		next := n.child(token)
		if next == nil {
			break
		}
		n = next
	}
	return n
}

// key is where the name of a member is written, or the place of the object.
func (n *node) key(name string) skald.Position {
	for i := range n.names {
		if n.names[i] == name {
			return n.keys[i]
		}
	}
	return n.at
}

// text is a string's value.
func (n *node) text() string {
	var s string
	if n != nil && n.kind == scalar {
		_ = json.Unmarshal(n.value, &s) // otherwise it is none
	}
	return s
}

// json is the document as JSON.
func (n *node) json() []byte {
	var b bytes.Buffer
	n.write(&b)
	return b.Bytes()
}

func (n *node) write(b *bytes.Buffer) {
	switch n.kind {
	case scalar:
		b.Write(n.value)
	case list:
		b.WriteByte('[')
		for i, x := range n.nodes {
			if i > 0 {
				b.WriteByte(',')
			}
			x.write(b)
		}
		b.WriteByte(']')
	case object:
		b.WriteByte('{')
		for i, x := range n.nodes {
			if i > 0 {
				b.WriteByte(',')
			}
			b.Write(quoted(n.names[i]))
			b.WriteByte(':')
			x.write(b)
		}
		b.WriteByte('}')
	}
}

// quoted is a string as JSON.
func quoted(s string) []byte {
	text, _ := json.Marshal(s) // a string: cannot fail
	return text
}

// tokens are the parts of a path such as retry/initial, in which a slash of a name is written ~1.
func tokens(path string) []string {
	if path == "" {
		return nil
	}
	parts := strings.Split(path, "/")
	for i := range parts {
		parts[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(parts[i])
	}
	return parts
}
