package declarative

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/skaldhq/skald"
)

// Bounds of a text.
const (
	maxText  = 256 << 10
	maxDepth = 64
)

// parse reads YAML or, if it begins with a brace, JSON.
func parse(file string, text []byte) (*node, []skald.Fault) {
	one := func(at skald.Position, problem, mend string) []skald.Fault {
		return []skald.Fault{{At: at, Problem: problem, Mend: mend}}
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // editors of Windows put a mark before a text in UTF-8
	begin := skald.Position{File: file, Line: 1, Column: 1}
	switch trimmed := bytes.TrimSpace(text); {
	case len(text) > maxText:
		return nil, one(begin, fmt.Sprintf("it has %d bytes; %d are allowed", len(text), maxText), "split it")
	case !utf8.Valid(text):
		return nil, one(begin, "it is not in UTF-8", "save it in UTF-8")
	case len(trimmed) == 0:
		return nil, one(begin, "it is empty", "docs/declarative.md has a first one to copy")
	case trimmed[0] == '{':
		return parseJSON(file, text)
	case deep(text):
		return nil, one(begin, "it is nested too deeply", fmt.Sprintf("use at most %d levels", maxDepth))
	case heavy(text):
		return nil, one(begin, "it is more than YAML is read of here", fmt.Sprintf("use at most %d bytes, %d lines and %d marks such as colons and commas, or JSON", maxYAML, maxLines, maxMarks))
	}
	return parseYAML(file, text)
}

// Bounds of YAML, whose parser takes time by the square of what it has to look at. A definition of 64 steps needs a tenth of it.
const (
	maxYAML    = 64 << 10
	maxLines   = 4000
	maxMarks   = 8000 // punctuation
	maxMembers = 1000 // of one object, in JSON, too
)

// heavy says whether a text is more than any definition needs, before a parser has to follow it.
func heavy(text []byte) bool {
	if len(text) > maxYAML || bytes.Count(text, []byte("\n")) > maxLines {
		return true
	}
	marks := 0
	for _, c := range text {
		if strings.IndexByte(":,-?!&*[]{}%#|>\"'@`", c) >= 0 {
			marks++
		}
	}
	return marks > maxMarks
}

// deep says whether brackets are nested beyond what any definition needs.
func deep(text []byte) bool {
	depth := 0
	for _, c := range text {
		switch c {
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(0, depth-1)
		}
		if depth > maxDepth {
			return true
		}
	}
	return false
}

// parsing collects the faults of a text.
type parsing struct {
	file   string
	text   []byte
	faults []skald.Fault

	offset int            // of the last position in text
	last   skald.Position // it
}

func (p *parsing) fault(at skald.Position, problem, mend string) {
	p.faults = append(p.faults, skald.Fault{At: at, Problem: problem, Mend: mend})
}

// twice says that a member is there already, or one too many.
func (p *parsing) twice(n *node, name string, at skald.Position) bool {
	if len(n.names) >= maxMembers {
		if len(p.faults) == 0 {
			p.fault(at, fmt.Sprintf("an object has more than %d members", maxMembers), "split it")
		}
		return true
	}
	if n.member(name) == nil {
		return false
	}
	p.fault(at, fmt.Sprintf("%q is said twice, first in line %d", name, n.key(name).Line), "say it once")
	return true
}

// parseJSON reads JSON.
func parseJSON(file string, text []byte) (*node, []skald.Fault) {
	p := &parsing{file: file, text: text}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	root, err := p.jsonValue(d, 0)
	if err == nil {
		if _, end := d.Token(); !errors.Is(end, io.EOF) {
			p.fault(p.position(int(d.InputOffset())), "something follows the definition", "put each definition into a file of its own")
		}
	} else {
		offset := int(d.InputOffset())
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			offset = max(0, int(syntax.Offset)-1)
		}
		p.fault(p.position(offset), "it is not JSON: "+err.Error(), "mend it here; YAML is read, too, if it does not begin with a brace")
	}
	return root, p.faults
}

// position is a place by its offset in bytes. It is counted on from the last one, so that asking in order costs no more than reading.
func (p *parsing) position(offset int) skald.Position {
	offset = min(offset, len(p.text))
	if p.last.Line == 0 || offset < p.offset {
		p.offset, p.last = 0, skald.Position{File: p.file, Line: 1, Column: 1}
	}
	passed := p.text[p.offset:offset]
	if i := bytes.LastIndexByte(passed, '\n'); i >= 0 {
		p.last.Line, p.last.Column, passed = p.last.Line+bytes.Count(passed, []byte("\n")), 1, passed[i+1:]
	}
	p.last.Column, p.offset = p.last.Column+utf8.RuneCount(passed), offset
	return p.last
}

// next is where the next token begins.
func (p *parsing) next(d *json.Decoder) skald.Position {
	i := int(d.InputOffset())
	for i < len(p.text) && strings.IndexByte(" \t\r\n,:", p.text[i]) >= 0 {
		i++
	}
	return p.position(i)
}

func (p *parsing) jsonValue(d *json.Decoder, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("it is nested more than %d levels deep", maxDepth)
	}
	n := &node{at: p.next(d)}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('['):
		n.kind = list
		for d.More() {
			x, err := p.jsonValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			n.nodes = append(n.nodes, x)
		}
	case json.Delim('{'):
		n.kind = object
		for d.More() {
			if err := p.jsonMember(d, n, depth); err != nil {
				return nil, err
			}
		}
	default:
		n.value, err = json.Marshal(t)
		return n, err
	}
	_, err = d.Token() // the closing one
	return n, err
}

func (p *parsing) jsonMember(d *json.Decoder, n *node, depth int) error {
	at := p.next(d)
	t, err := d.Token()
	if err != nil {
		return err
	}
	name, _ := t.(string) // the decoder takes nothing else here
	x, err := p.jsonValue(d, depth+1)
	if err == nil && !p.twice(n, name, at) {
		n.names, n.keys, n.nodes = append(n.names, name), append(n.keys, at), append(n.nodes, x)
	}
	return err
}

// parseYAML reads YAML, as far as it is JSON written otherwise.
func parseYAML(file string, text []byte) (*node, []skald.Fault) {
	p := &parsing{file: file, text: text}
	parsed, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		at, problem := skald.Position{File: file, Line: 1, Column: 1}, err.Error()
		var syntax *yaml.SyntaxError
		if errors.As(err, &syntax) && syntax.Token != nil && syntax.Token.Position != nil {
			at.Line, at.Column, problem = syntax.Token.Position.Line, syntax.Token.Position.Column, syntax.Message
		}
		p.fault(at, "it is not YAML: "+problem, "mend it here; a text with a colon, a brace or a number sign in it needs quotes, or a block after >-")
		return nil, p.faults
	}
	var docs []*ast.DocumentNode
	for _, d := range parsed.Docs {
		if d.Body != nil && d.Body.Type() != ast.CommentType {
			docs = append(docs, d)
		}
	}
	if len(docs) != 1 {
		p.fault(skald.Position{File: file, Line: 1, Column: 1}, fmt.Sprintf("it has %d documents", len(docs)), "put each definition into a file of its own")
		return nil, p.faults
	}
	n := p.yamlValue(docs[0].Body, 0)
	return n, p.faults
}

func (p *parsing) yamlAt(n ast.Node) skald.Position {
	at := skald.Position{File: p.file, Line: 1, Column: 1}
	if t := n.GetToken(); t != nil && t.Position != nil {
		at.Line, at.Column = t.Position.Line, t.Position.Column
	}
	return at
}

// yamlValue converts a node. What JSON does not have is a fault, and null.
func (p *parsing) yamlValue(y ast.Node, depth int) *node {
	n := &node{at: p.yamlAt(y), value: json.RawMessage("null")}
	if depth > maxDepth {
		p.fault(n.at, "it is nested too deeply", fmt.Sprintf("use at most %d levels", maxDepth))
		return n
	}
	switch v := y.(type) {
	case *ast.MappingNode:
		n.kind = object
		for _, m := range v.Values {
			p.yamlMember(m, n, depth)
		}
		if len(v.Values) > 0 {
			n.at = p.yamlAt(v.Values[0].Key)
		}
	case *ast.MappingValueNode:
		n.kind = object
		p.yamlMember(v, n, depth)
		n.at = p.yamlAt(v.Key)
	case *ast.SequenceNode:
		n.kind = list
		for _, x := range v.Values {
			n.nodes = append(n.nodes, p.yamlValue(x, depth+1))
		}
	default:
		p.yamlScalar(y, n)
	}
	return n
}

func (p *parsing) yamlMember(m *ast.MappingValueNode, n *node, depth int) {
	at := p.yamlAt(m.Key)
	name := ""
	switch k := m.Key.(type) {
	case *ast.StringNode:
		name = k.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		name = k.GetToken().Value
	default:
		p.fault(at, "the name of a member is no text", "write it out; anchors, aliases and merge keys are not read")
		return
	}
	x := p.yamlValue(m.Value, depth+1)
	if !p.twice(n, name, at) {
		n.names, n.keys, n.nodes = append(n.names, name), append(n.keys, at), append(n.nodes, x)
	}
}

func (p *parsing) yamlScalar(y ast.Node, n *node) {
	switch v := y.(type) {
	case *ast.NullNode:
	case *ast.StringNode:
		n.value = quoted(v.Value)
	case *ast.LiteralNode:
		n.value = quoted(v.Value.Value)
	case *ast.BoolNode:
		n.value = fmt.Appendf(nil, "%t", v.Value)
	case *ast.IntegerNode:
		n.value = fmt.Appendf(nil, "%d", v.Value)
	case *ast.FloatNode:
		if math.IsInf(v.Value, 0) || math.IsNaN(v.Value) {
			p.fault(n.at, "the number is too large", "write a smaller one, or a text in quotes")
			return
		}
		n.value, _ = json.Marshal(v.Value) // it is finite
	case *ast.AnchorNode, *ast.AliasNode:
		p.fault(n.at, "anchors and aliases are not read", "write it out where it is needed")
	default:
		p.fault(n.at, fmt.Sprintf("a %s is not read here", strings.ToLower(y.Type().String())), "write a text, a number, true, false, a list or an object")
	}
}
