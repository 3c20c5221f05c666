package main

import (
	"context"
	_ "embed" // the scripts
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/httpapi"
)

// completionCommand is "skald completion".
type completionCommand struct {
	Shell string `arg:"" help:"bash, zsh or fish." enum:"bash,zsh,fish"`
}

// Help implements kong.HelpProvider.
func (completionCommand) Help() string {
	return `What your shell reads when it begins gets a line:

  bash   source <(skald completion bash), in ~/.bashrc
  zsh    source <(skald completion zsh), in ~/.zshrc, after compinit
  fish   skald completion fish | source, in ~/.config/fish/config.fish

Names of definitions and ids of sagas are asked for at SKALD_ADDRESS.`
}

var (
	//go:embed completion/skald.bash
	bashScript string
	//go:embed completion/skald.zsh
	zshScript string
	//go:embed completion/skald.fish
	fishScript string
)

// Run runs the command.
func (c *completionCommand) Run(w *world) error {
	fmt.Fprint(w.stdout, map[string]string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}[c.Shell])
	return nil
}

// completeCommand is what the scripts ask: skald complete -- WORD…, the last of which is being typed. It prints what it may become, a line each.
type completeCommand struct {
	Words []string `arg:"" optional:""`
}

// Run runs the command.
func (c *completeCommand) Run(w *world) error {
	words := c.Words
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	for _, word := range w.candidates(w.parser.Model.Node, joinAssignments(words)) {
		fmt.Fprintln(w.stdout, word)
	}
	return nil
}

// joinAssignments puts together what bash takes apart: --verb, =, retry.
func joinAssignments(words []string) []string {
	var joined []string
	for i := 0; i < len(words); i++ {
		if words[i] == "=" && len(joined) > 0 && strings.HasPrefix(joined[len(joined)-1], "--") {
			joined[len(joined)-1] += "="
			if i+1 < len(words) {
				i++
				joined[len(joined)-1] += words[i]
			}
			continue
		}
		joined = append(joined, words[i])
	}
	return joined
}

// candidates are what the last word may become.
func (w *world) candidates(node *kong.Node, words []string) []string {
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	places, value := 0, (*kong.Value)(nil) // arguments that are there; the flag whose value comes
	for _, word := range words[:len(words)-1] {
		child := slices.IndexFunc(node.Children, func(n *kong.Node) bool { return n.Name == word })
		switch {
		case value != nil:
			value = nil
		case strings.HasPrefix(word, "-"):
			value = flagNamed(node, word)
		case child >= 0:
			node = node.Children[child]
		default:
			places++
		}
	}
	name, typed, assigned := strings.Cut(last, "=")
	switch {
	case value != nil:
		return startingWith(last, "", enumOf(value))
	case assigned && strings.HasPrefix(last, "--"):
		if flag := flagNamed(node, name); flag != nil {
			return startingWith(typed, name+"=", enumOf(flag))
		}
		return nil
	case strings.HasPrefix(last, "-"):
		return startingWith(last, "", flagsOf(node))
	case len(node.Children) > 0:
		return startingWith(last, "", childrenOf(node))
	}
	return startingWith(last, "", w.argument(node, places, words))
}

// flagNamed is a flag that takes a value; nil if it is another word.
func flagNamed(node *kong.Node, word string) *kong.Value {
	for _, flags := range node.AllFlags(true) {
		for _, f := range flags {
			if (word == "--"+f.Name || f.Short != 0 && word == "-"+string(f.Short)) && !f.IsBool() {
				return f.Value
			}
		}
	}
	return nil
}

func flagsOf(node *kong.Node) (names []string) {
	for _, flags := range node.AllFlags(true) {
		for _, f := range flags {
			names = append(names, "--"+f.Name)
		}
	}
	return names
}

func childrenOf(node *kong.Node) (names []string) {
	for _, n := range node.Children {
		if !n.Hidden {
			names = append(names, n.Name)
		}
	}
	return names
}

func enumOf(v *kong.Value) (words []string) {
	for _, word := range strings.Split(v.Enum, ",") {
		if word != "" {
			words = append(words, word)
		}
	}
	return words
}

func startingWith(typed, before string, all []string) (found []string) {
	for _, one := range all {
		if strings.HasPrefix(one, typed) {
			found = append(found, before+one)
		}
	}
	return found
}

// askTime is how long completion may ask a server: somebody is waiting with a finger on a key.
const askTime = time.Second

// argument is what an argument of a command may be. What a server has is asked of it, and when it does not answer there is nothing to offer.
func (w *world) argument(node *kong.Node, place int, words []string) (all []string) {
	if place >= len(node.Positional) {
		place = len(node.Positional) - 1
	}
	if place < 0 {
		return nil
	}
	argument := node.Positional[place]
	if argument.Enum != "" {
		return enumOf(argument)
	}
	var remote Remote // as the environment says
	parser, err := kong.New(&remote, options()...)
	if err != nil {
		return nil
	}
	if _, err := parser.Parse(nil); err != nil {
		return nil
	}
	client, err := remote.client(w)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(w.ctx, askTime)
	defer cancel()
	switch argument.Name {
	case "definition", "name", "old", "new":
		definitions, _ := client.Definitions(ctx)
		for _, d := range definitions {
			all = append(all, d.Name)
		}
	case "id":
		page, _ := client.Sagas(ctx, httpapi.Listing{Filter: sagasFor(node.Name), Limit: 100})
		for i := range page.Sagas {
			all = append(all, string(page.Sagas[i].ID))
		}
	case "step":
		all = incidentSteps(ctx, client, words)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// sagasFor are the sagas that a command is for.
func sagasFor(command string) httpapi.Filter {
	switch command {
	case "retry", "resolve":
		return httpapi.Filter{Incident: true, Unended: true}
	case "cancel", "wait":
		return httpapi.Filter{Unended: true}
	}
	return httpapi.Filter{}
}

// incidentSteps are the steps with an incident of the saga that is named before.
func incidentSteps(ctx context.Context, client *httpapi.Client, words []string) (steps []string) {
	for _, word := range words[1 : len(words)-1] {
		if strings.HasPrefix(word, "-") {
			continue
		}
		s, err := client.Saga(ctx, skald.SagaID(word))
		if err != nil {
			continue
		}
		for _, i := range s.Incidents {
			steps = append(steps, i.Step)
		}
		return steps
	}
	return nil
}
