package architecture

import "strings"

// root is the import path of the library's module. The two other modules lie below it.
const root = "github.com/skaldhq/skald"

// room is a place in the root module and what its packages may import. A path that ends in "/*" stands for the packages
// one level below, except those that have a room of their own. "." is the root package.
type room struct {
	path      string
	mayImport []string // rooms; a room not named here is closed
	modules   []string // other modules it may import, by path; "*" is any
	onlyTests bool     // whether only test files may import it
	reflects  bool     // whether it may look at types that are not its own
	standard  []string // if not empty: the only packages of the standard library it may import
}

// Groups of rooms that several rows name.
var (
	contracts = []string{"journal", "store", "broker", "participant"}
	engine    = []string{"internal/plan", "internal/machine", "internal/orchestrator", "internal/choreographer", "internal/turns"}
	drivers   = []string{"store/*", "broker/*", "participant/*"}

	anyModule = []string{"*"}
	ids       = []string{"github.com/google/uuid"} // all that every user's program links in
)

// rooms is the layout, from bottom to top. A package imports only what its row names, so imports point down only,
// drivers never see each other, and the two modes never see each other.
//
// Test files may import any room: they put parts together to try them.
var rooms = []room{
	// The durable vocabulary, and the contracts that speak it.
	{path: "journal"},
	{path: "store", mayImport: []string{"journal"}},
	{path: "broker", mayImport: []string{"journal"}},
	{path: "participant", mayImport: []string{"journal"}},

	// The definition as data. It says what an operation promises in the participant's words.
	{path: "internal/plan", mayImport: []string{"journal", "participant"}},
	{path: "internal/plan/plantest", mayImport: []string{"internal/plan", "participant"}, onlyTests: true},

	// The machine is pure (see purity.go): the list is what it can need without touching the world.
	{path: "internal/machine", mayImport: []string{"journal", "participant", "internal/plan"}, standard: pure},

	// Leaves that several rooms share, each a single idea of the operating system or of goroutines.
	{path: "internal/filelock"},
	{path: "internal/ownfile"},
	{path: "internal/freeport", onlyTests: true},
	{path: "internal/owndisk", onlyTests: true},
	{path: "internal/waits", onlyTests: true},
	{path: "internal/turns"},
	{path: "internal/shape"},

	// The one room that reaches into somebody else's product, for the driver above it.
	{path: "internal/relaxed", modules: anyModule, reflects: true},

	// Drivers know their contract, the journal and their product; suites check drivers.
	{path: "store/*", mayImport: []string{"journal", "store", "internal/filelock", "internal/ownfile"}, modules: anyModule},
	{path: "broker/*", mayImport: []string{"journal", "broker", "internal/filelock", "internal/ownfile", "internal/relaxed"}, modules: anyModule},
	{path: "participant/*", mayImport: []string{"journal", "participant", "internal/ownfile"}, modules: anyModule},
	{path: "store/storetest", mayImport: []string{"journal", "store"}, modules: anyModule, onlyTests: true},
	{path: "broker/brokertest", mayImport: []string{"journal", "broker"}, modules: anyModule, onlyTests: true},
	{path: "participant/participanttest", mayImport: []string{"journal", "participant"}, modules: anyModule, onlyTests: true},

	// Who may do what with an engine that is served: the contract and what keeps it; drivers keep keys, or know people by tokens.
	{path: "access", mayImport: []string{"journal"}},
	{path: "access/*", mayImport: []string{"access", "internal/ownfile"}, modules: anyModule},
	{path: "access/accesstest", mayImport: []string{"access"}, onlyTests: true},

	// The two modes drive the machine through the contracts.
	{path: "internal/orchestrator", mayImport: all(contracts, "internal/plan", "internal/machine"), modules: ids},
	{path: "internal/choreographer", mayImport: all(contracts, "internal/plan", "internal/machine", "internal/turns"), modules: ids},

	// What a user imports. It knows no driver, so nobody pays for a database they do not use.
	{path: ".", reflects: true, mayImport: all(contracts, engine...), modules: ids},

	// Outcomes for outsiders: what is said and signed, and what delivers it.
	{path: "webhook", mayImport: all(contracts, ".")},
	{path: "webhook/*", mayImport: all(contracts, ".", "participant/*", "webhook"), modules: anyModule},
	// A definition as an AsyncAPI document.
	{path: "asyncapi", mayImport: all(contracts, ".", "internal/shape")},

	// Ready-made parts on top of the root package. They do not import each other: mains put them together.
	{path: "embedded", mayImport: all(contracts, all(drivers, ".")...), modules: anyModule},
	{path: "console", mayImport: all(contracts, "."), modules: anyModule},
	{path: "httpapi", mayImport: all(contracts, ".", "access", "webhook", "asyncapi"), modules: anyModule},
	{path: "metrics", mayImport: all(contracts, ".", "webhook"), modules: anyModule},
	// Definitions as data, and the registry that keeps them beside a store: it calls participants where the registry says they are.
	{path: "declarative", mayImport: all(contracts, ".", "participant/*", "internal/filelock", "internal/ownfile"), modules: anyModule},
	{path: "sealed", mayImport: all(contracts, "."), modules: ids},
	{path: "traces", mayImport: all(contracts, "."), modules: anyModule},
	{path: "traces/*", mayImport: []string{"traces"}, modules: anyModule},
	// The sidecar is a participant of its own, with the SQLite desk, HTTP and the broker as its parts.
	{path: "sidecar", mayImport: all(contracts, all(drivers, ".", "access", "metrics", "sealed", "traces", "traces/*", "internal/filelock", "internal/turns")...), modules: anyModule},
	// The explorer drives the real coordinator through its seams, which users do not get.
	{path: "skaldtest", mayImport: all(contracts, all(drivers, ".", "internal/plan", "internal/orchestrator")...), modules: anyModule, onlyTests: true},
	// What is doubtful about definitions, and what a new version changes.
	{path: "vet", mayImport: all(contracts, ".", "declarative", "internal/shape")},

	// Programs choose the parts.
	// What the skald command shows, and where.
	{path: "cmd/skald/internal/terminal", modules: anyModule},
	{path: "cmd/skald/internal/draw", mayImport: all(contracts, ".", "httpapi", "vet", "webhook", "cmd/skald/internal/terminal")},
	{path: "cmd/*", mayImport: all(contracts, all(drivers, ".", "embedded", "console", "httpapi", "metrics", "sidecar", "declarative", "vet", "asyncapi", "webhook", "webhook/*", "traces", "traces/*", "sealed", "access", "access/*", "cmd/skald/internal/terminal", "cmd/skald/internal/draw")...), modules: anyModule},

	// The house's own tools, which no product code imports.
	{path: "internal/architecture"},
	{path: "internal/testreport"},
	{path: "internal/pages", onlyTests: true},
	{path: "internal/soak"},
}

// pure is what a package without clock, chance, I/O and goroutines may take from the standard library.
var pure = []string{
	"bytes", "cmp", "encoding/binary", "encoding/hex", "encoding/json", "errors", "fmt", "hash/crc32", "iter", "maps", "math",
	"math/bits", "slices", "sort", "strconv", "strings", "time", "unicode", "unicode/utf8",
}

// all returns a new list of a group and some more.
func all(group []string, more ...string) []string {
	return append(append([]string(nil), group...), more...)
}

// roomOf returns the room of a package of the root module.
func roomOf(importPath string) (room, bool) {
	path := strings.TrimPrefix(importPath, root+"/")
	if importPath == root {
		path = "."
	}
	for _, r := range rooms {
		if r.path == path {
			return r, true
		}
	}
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		for _, r := range rooms {
			if r.path == path[:i]+"/*" {
				return r, true
			}
		}
	}
	return room{}, false
}
