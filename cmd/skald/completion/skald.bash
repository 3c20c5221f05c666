# bash completion for skald: source <(skald completion bash)
_skald() {
	local IFS=$'\n' word=${COMP_WORDS[COMP_CWORD]}
	COMPREPLY=($("${COMP_WORDS[0]}" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
	if [[ $word == = || ${COMP_WORDS[COMP_CWORD - 1]} == = ]]; then
		COMPREPLY=("${COMPREPLY[@]#*=}") # bash takes --flag=value apart
	fi
	if [[ ${#COMPREPLY[@]} -eq 0 ]]; then
		compopt -o default 2>/dev/null # files
	fi
}
complete -F _skald skald
