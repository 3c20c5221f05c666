package sqlitestore

import "testing"

// FuzzMark reads texts as marks: what is taken for one is to the letter what would be written for what it says, and what is written for any numbers is read as these.
func FuzzMark(f *testing.F) {
	f.Add(reached{1, 2}.encode(), uint64(1), int64(2))
	f.Add(reached{1 << 63, 1 << 62}.encode()+" ", uint64(1<<63), int64(-1))
	f.Add("skald 1 epoch +1 record 0x2 00000000\n", uint64(0), int64(0))
	f.Add("skald 1 epoch 99999999999999999999 record 1 deadbeef\n", uint64(1), int64(1))
	f.Add("", uint64(1), int64(1))
	f.Fuzz(func(t *testing.T, text string, epoch uint64, record int64) {
		if r := decode(text); r != (reached{}) && r.encode() != text {
			t.Errorf("%q says %s, which is written as %q", text, r, r.encode())
		}
		said := reached{epoch, record}
		if r := decode(said.encode()); r != said {
			t.Errorf("%s is written as %q and read as %s", said, said.encode(), r)
		}
	})
}
