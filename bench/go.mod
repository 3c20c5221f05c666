module github.com/skaldhq/skald/bench

go 1.26

require github.com/skaldhq/skald v0.0.0

replace github.com/skaldhq/skald => ../
