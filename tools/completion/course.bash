# Completion of make's words in the course, for bash:
#     . tools/completion/course.bash
# (for good: that line, with the whole path, in ~/.bashrc). Elsewhere make is
# completed as before.

# The folder of the course that we are in.
_course_root() {
    local folder=$PWD
    while [ -n "$folder" ]; do
        if [ -f "$folder/common/lab.mk" ]; then
            printf '%s\n' "$folder"
            return
        fi
        folder=${folder%/*}
    done
    return 1
}

# The values that "LAB=", "TEST=" and the like may have.
_course_values() {
    local root=$1 name=$2 lab=$3 folder
    case $name in
    LAB) for folder in "$root"/chapter_*/*/lab_*/; do basename "$folder"; done ;;
    CHAPTER) for folder in "$root"/chapter_*/; do basename "$folder"; done ;;
    ITEM) (cd "$root" && ls -d chapter_*/*/theory.md chapter_*/checkpoint.md) ;;
    MODE) printf '%s\n' plain asan tsan ;;
    SRC) printf '%s\n' src solution problem ;;
    TEST)
        for folder in "$root"/chapter_*/*/*"$lab"*/; do
            case $PWD/ in
            */lab_*) folder=$PWD/ ;;
            esac
            sed -n 's/^TEST(\(test_[A-Za-z0-9_]*\).*/\1/p' "$folder"tests/*.c
        done | sort -u
        ;;
    esac
} 2>/dev/null

_course_verbs() {
    if [ "$PWD" = "$1" ]; then
        printf '%s\n' start check watch next progress "done" undone quiz update \
            man help stress compile_commands.json
    else
        printf '%s\n' watch next progress check stress help
    fi
    printf '%s\n' program "test" solution run debug hint compare reset undo bench
}

_course_make() {
    local root word=${COMP_WORDS[COMP_CWORD]} name='' lab='' i
    if ! root=$(_course_root); then
        if declare -F _make >/dev/null || {
            declare -F _completion_loader >/dev/null && _completion_loader make &&
                complete -F _course_make make && declare -F _make >/dev/null
        }; then
            _make "$@"
        fi
        return
    fi
    # bash takes "LAB=cat" for three words.
    if [ "$word" = = ]; then
        name=${COMP_WORDS[COMP_CWORD - 1]}
        word=
    elif [ "$COMP_CWORD" -gt 1 ] && [ "${COMP_WORDS[COMP_CWORD - 1]}" = = ]; then
        name=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    for ((i = 1; i + 2 < ${#COMP_WORDS[@]}; i++)); do
        if [ "${COMP_WORDS[i]}${COMP_WORDS[i + 1]}" = LAB= ]; then
            lab=${COMP_WORDS[i + 2]}
        fi
    done
    if [ -n "$name" ]; then
        mapfile -t COMPREPLY < <(
            compgen -W "$(_course_values "$root" "$name" "$lab")" -- "$word"
        )
        return
    fi
    mapfile -t COMPREPLY < <(
        compgen -W "$(_course_verbs "$root")" -- "$word"
        compgen -W "LAB= TEST= MODE= SRC= ARGS= ITEM= CHAPTER=" -- "$word"
    )
    case ${COMPREPLY[*]} in
    *=) compopt -o nospace ;;
    esac
}

complete -F _course_make make
