package mail

import "testing"

func TestOnlyLoopbackGoesWithoutTLS(t *testing.T) {
	cases := map[Config]bool{
		{Address: "127.0.0.1:2525"}:                   true,
		{Address: "127.8.9.1:2525"}:                   true,
		{Address: "[::1]:2525"}:                       true,
		{Address: "localhost:2525"}:                   true,
		{Address: "127.0.0.1:2525", TLS: TLSRequired}: false,
		{Address: "mail.example.com:587"}:             false,
		{Address: "localhost.example.com:587"}:        false,
		{Address: "192.0.2.1:25"}:                     false,
		{Address: "0.0.0.0:25"}:                       false,
	}
	for config, plain := range cases {
		config.From = "shop@commande.example"
		s, err := New(config)
		if err != nil {
			t.Fatal(err)
		}
		if s.plain != plain {
			t.Errorf("%s (TLS %d): without TLS is %t, want %t", config.Address, config.TLS, s.plain, plain)
		}
	}
}
