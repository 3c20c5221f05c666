# zsh completion for skald: source <(skald completion zsh)
_skald() {
	local -a found
	found=("${(@f)$(${words[1]} complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	if [[ -n "${found[1]}" ]]; then
		compadd -a found
	else
		_files
	fi
}
compdef _skald skald
