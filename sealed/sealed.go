// Package sealed keeps payloads from whoever drives sagas: the client that starts them and the participants encrypt what they send, and coordinator, broker, journal and console see ciphertext. It is for
// definitions whose mappings pass values on as they are.
//
// Of a JSON object each member is sealed by itself, so that mappings can choose among members; anything else is sealed as a whole. A sealed value is {"skald.sealed": "1.KEY.…"}. It is opened wherever
// it stands in a payload. What reads a value inside a sealed one on the way, such as a mapping that calculates, gets an object without it.
//
// Names of definitions, steps, operations and members, reason codes, business keys, sizes and times are not hidden. A sealed value cannot be changed, nor be used in another saga; that a participant is given the value of another member of
// the same saga cannot be told. The same value sealed twice in one saga is the same text: that is what lets a start or an answer be repeated.
package sealed

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/skaldhq/skald/journal"
)

// Errors of opening. Their texts have nothing of what was sealed.
var (
	// ErrKey says that the key with which something was sealed is not in the ring.
	ErrKey = errors.New("sealed: its key is not in the key file; add the key, or ask for the one that it was sealed with")
	// ErrOpen says that something was not sealed with this key for this saga, or was changed since.
	ErrOpen = errors.New("sealed: it cannot be opened: it was changed, or sealed for another saga")
)

// member is the name of a sealed value's only member, and of what seals a text, followed by a colon.
const member = "skald.sealed"

// keyBytes is the length of a key: AES-256.
const keyBytes = 32

// Ring is the keys that a program has: one to seal with, and all to open with. It is immutable and used concurrently.
type Ring struct {
	current string
	keys    map[string][]byte
}

// New makes a ring. Keys are 32 random bytes each, by their ids: 1 to 32 letters, digits, underscores and hyphens. To rotate, give the new key to everybody first, and then make it the current one; old keys
// are needed for as long as sagas that were sealed with them are read.
func New(current string, keys map[string][]byte) (*Ring, error) {
	r := &Ring{current: current, keys: map[string][]byte{}}
	var faults []error
	for id, key := range keys {
		if !isID(id) {
			faults = append(faults, fmt.Errorf("the key id %.40q cannot be used: take 1 to 32 letters, digits, underscores and hyphens", id))
		}
		if len(key) != keyBytes {
			faults = append(faults, fmt.Errorf("key %.40q has %d bytes: make one of %d, as openssl rand -base64 32 does", id, len(key), keyBytes))
		}
		r.keys[id] = append([]byte(nil), key...)
	}
	if keys[current] == nil {
		faults = append(faults, fmt.Errorf("the current key %.40q is not among the keys", current))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("sealed: %w", err)
	}
	return r, nil
}

// Read makes a ring from a file: {"current": "2026-11", "keys": {"2026-11": "32 bytes in base64"}}.
func Read(file string) (*Ring, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("sealed: %w", err)
	}
	var x struct {
		Current string            `json:"current"`
		Keys    map[string][]byte `json:"keys"`
	}
	if json.Unmarshal(text, &x) != nil { // the error could have a part of a key
		return nil, fmt.Errorf(`sealed: %s is no key file: write {"current": "2026-11", "keys": {"2026-11": "32 bytes in base64"}}`, file)
	}
	return New(x.Current, x.Keys)
}

func isID(id string) bool {
	return id != "" && len(id) <= 32 && strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}

// keysOf are a saga's own: one to encrypt, and one that makes nonces. So what is sealed for one saga opens in no other, and nonces only have to differ within a saga.
func (r *Ring) keysOf(id string, saga journal.SagaID) (encrypt cipher.AEAD, nonces []byte, err error) {
	key, known := r.keys[id]
	if !known {
		return nil, nil, fmt.Errorf("%w (key %.40q)", ErrKey, id)
	}
	both, err := hkdf.Key(sha256.New, key, nil, "skald.sealed/1/"+string(saga), 2*keyBytes)
	if err != nil {
		return nil, nil, fmt.Errorf("sealed: %w", err)
	}
	block, err := aes.NewCipher(both[:keyBytes])
	if err != nil {
		return nil, nil, fmt.Errorf("sealed: %w", err)
	}
	encrypt, err = cipher.NewGCM(block)
	return encrypt, both[keyBytes:], err
}

// seal makes the text of a sealed value: form, key, and nonce with ciphertext. The nonce follows from the value, as in RFC 5297, so that the same value gives the same text.
func (r *Ring) seal(saga journal.SagaID, value []byte) (string, error) {
	encrypt, nonces, err := r.keysOf(r.current, saga)
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, nonces)
	_, _ = mac.Write(value) // a hash takes everything
	nonce := mac.Sum(nil)[:encrypt.NonceSize()]
	return "1." + r.current + "." + base64.RawURLEncoding.EncodeToString(encrypt.Seal(nonce, nonce, value, []byte(r.current))), nil
}

// open is the way back.
func (r *Ring) open(saga journal.SagaID, text string) ([]byte, error) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 || parts[0] != "1" {
		return nil, ErrOpen
	}
	encrypt, _, err := r.keysOf(parts[1], saga)
	if err != nil {
		return nil, err
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if err != nil || len(data) < encrypt.NonceSize() {
		return nil, ErrOpen
	}
	value, err := encrypt.Open(nil, data[:encrypt.NonceSize()], data[encrypt.NonceSize():], []byte(parts[1]))
	if err != nil {
		return nil, ErrOpen
	}
	return value, nil
}

// Seal seals a payload of a saga. What is sealed already stays as it is; an empty payload, which means null, too.
func (r *Ring) Seal(saga journal.SagaID, payload []byte) ([]byte, error) {
	if len(payload) == 0 {
		return payload, nil
	}
	if !json.Valid(payload) {
		return nil, errors.New("sealed: the payload is not JSON")
	}
	var object map[string]json.RawMessage
	if payload[0] != '{' || json.Unmarshal(payload, &object) != nil {
		return r.value(saga, payload)
	}
	if _, done := sealedText(object); done {
		return payload, nil
	}
	for name, value := range object {
		x, err := r.sealMember(saga, value)
		if err != nil {
			return nil, err
		}
		object[name] = x
	}
	return json.Marshal(object)
}

func (r *Ring) sealMember(saga journal.SagaID, value json.RawMessage) (json.RawMessage, error) {
	var object map[string]json.RawMessage
	if json.Unmarshal(value, &object) == nil {
		if _, done := sealedText(object); done {
			return value, nil
		}
	}
	return r.value(saga, value)
}

func (r *Ring) value(saga journal.SagaID, value []byte) ([]byte, error) {
	text, err := r.seal(saga, value)
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]string{member: text})
}

// sealedText is the text of a sealed value.
func sealedText(object map[string]json.RawMessage) (text string, ok bool) {
	raw, ok := object[member]
	return text, ok && len(object) == 1 && json.Unmarshal(raw, &text) == nil
}

// Open opens all sealed values of a payload, wherever they stand. A payload without any is returned as it is.
func (r *Ring) Open(saga journal.SagaID, payload []byte) ([]byte, error) {
	if !strings.Contains(string(payload), member) {
		return payload, nil
	}
	return r.openIn(saga, payload, 0)
}

// maxDepth is how deep sealed values are looked for: mappings put them near the top, and a payload must not be read as often as somebody can nest it.
const maxDepth = 16

func (r *Ring) openIn(saga journal.SagaID, value json.RawMessage, depth int) (json.RawMessage, error) {
	if depth > maxDepth {
		return value, nil
	}
	var object map[string]json.RawMessage
	var list []json.RawMessage
	switch {
	case len(value) > 0 && value[0] == '{' && json.Unmarshal(value, &object) == nil:
		if text, isSealed := sealedText(object); isSealed {
			return r.open(saga, text)
		}
		for name := range object {
			x, err := r.openIn(saga, object[name], depth+1)
			if err != nil {
				return nil, err
			}
			object[name] = x
		}
		return json.Marshal(object)
	case len(value) > 0 && value[0] == '[' && json.Unmarshal(value, &list) == nil:
		for i := range list {
			x, err := r.openIn(saga, list[i], depth+1)
			if err != nil {
				return nil, err
			}
			list[i] = x
		}
		return json.Marshal(list)
	}
	return value, nil
}

// maxWords is how much of a text is sealed, in bytes: the rest would be cut off on the way, and nothing opened.
const maxWords = 600

// sealWords seals words for a person, such as those of a refusal.
func (r *Ring) sealWords(saga journal.SagaID, words string) string {
	if words == "" || strings.HasPrefix(words, member+":") {
		return words
	}
	if len(words) > maxWords {
		words = strings.ToValidUTF8(words[:maxWords], "") + "…"
	}
	text, err := r.seal(saga, []byte(words))
	if err != nil {
		return "" // rather than saying it to everybody
	}
	return member + ":" + text
}

// openWords opens words; those that cannot be opened stay sealed.
func (r *Ring) openWords(saga journal.SagaID, words string) string {
	before, text, isSealed := strings.Cut(words, member+":")
	if !isSealed {
		return words
	}
	opened, err := r.open(saga, text)
	if err != nil {
		return words
	}
	return before + string(opened)
}
