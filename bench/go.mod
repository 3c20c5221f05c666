module github.com/skaldhq/skald/bench

go 1.26

replace github.com/skaldhq/skald => ../
