package skaldtest

import (
	"fmt"
	"strings"
)

// sample makes a JSON value of a shape, as definitions describe them: {sku:string,quantity:int}. Values of another n differ.
func sample(shape string, n int) []byte {
	p := sampler{rest: shape, n: n}
	return []byte(p.value())
}

type sampler struct {
	rest string
	n    int
}

// value reads one shape from the front of what is left.
func (p *sampler) value() string {
	v := p.bare()
	p.rest = strings.TrimPrefix(p.rest, "?")
	return v
}

func (p *sampler) bare() string {
	switch {
	case strings.HasPrefix(p.rest, "{"):
		return p.object()
	case strings.HasPrefix(p.rest, "map["):
		p.rest = p.rest[len("map["):]
		v := p.value()
		p.rest = strings.TrimPrefix(p.rest, "]")
		return `{"key":` + v + `}`
	case strings.HasPrefix(p.rest, "["):
		p.rest = p.rest[1:]
		v := p.value()
		p.rest = strings.TrimPrefix(p.rest, "]")
		return "[" + v + "]"
	}
	end := strings.IndexAny(p.rest, ",]}?")
	if end < 0 {
		end = len(p.rest)
	}
	word := p.rest[:end]
	p.rest = p.rest[end:]
	switch word {
	case "string":
		return fmt.Sprintf(`"text %d"`, p.n)
	case "int":
		return fmt.Sprint(p.n)
	case "number":
		return fmt.Sprintf("%d.5", p.n)
	case "bool":
		return fmt.Sprint(p.n%2 == 1)
	case "bytes":
		return `"Ynl0ZXM="`
	case "time":
		return fmt.Sprintf(`"2100-01-01T00:00:%02dZ"`, p.n%60)
	}
	return "null"
}

func (p *sampler) object() string {
	var b strings.Builder
	b.WriteByte('{')
	p.rest = p.rest[1:]
	for first := true; p.rest != "" && p.rest[0] != '}'; first = false {
		p.rest = strings.TrimPrefix(p.rest, ",")
		name, rest, _ := strings.Cut(p.rest, ":")
		p.rest = rest
		if !first {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%s", name, p.value())
		p.rest = strings.TrimPrefix(p.rest, "?")
	}
	p.rest = strings.TrimPrefix(p.rest, "}")
	b.WriteByte('}')
	return b.String()
}
