# fish completion for skald: skald completion fish | source
function __skald_complete
	set -l words (commandline --tokenize --cut-at-cursor)
	skald complete -- $words[2..-1] (commandline --current-token --cut-at-cursor) 2>/dev/null
end
complete --command skald --arguments '(__skald_complete)'
