# Completion of make's words in the course, for zsh, after compinit:
#     . tools/completion/course.zsh
# (for good: that line, with the whole path, in ~/.zshrc). Elsewhere make is
# completed as before.

_course_root() {
    local folder=$PWD
    while [[ -n $folder ]]; do
        if [[ -f $folder/common/lab.mk ]]; then
            print -r -- $folder
            return
        fi
        folder=${folder%/*}
    done
    return 1
}

# The tests of the lab that we are in, or that LAB= says.
_course_tests() {
    local lab=${${words[(r)LAB=*]}#LAB=}
    local -a folders=($1/chapter_*/*/*$lab*(N/))
    [[ $PWD == */lab_* ]] && folders=($PWD)
    sed -n 's/^TEST(\(test_[A-Za-z0-9_]*\).*/\1/p' $folders/tests/*.c(N)
}

_course_make() {
    local root
    if ! root=$(_course_root); then
        _make "$@"
        return
    fi
    local -a verbs names
    verbs=(watch next progress check stress help program test solution run
        debug hint compare reset undo bench)
    [[ $PWD == $root ]] &&
        verbs+=(start 'done' undone quiz update man compile_commands.json)
    if compset -P 'LAB='; then
        names=($root/chapter_*/*/lab_*(N/:t))
    elif compset -P 'CHAPTER='; then
        names=($root/chapter_*(N/:t))
    elif compset -P 'ITEM='; then
        names=($root/chapter_*/*/theory.md(N) $root/chapter_*/checkpoint.md(N))
        names=(${names#$root/})
    elif compset -P 'TEST='; then
        names=(${(f)"$(_course_tests $root)"})
    elif compset -P 'MODE='; then
        names=(plain asan tsan)
    elif compset -P 'SRC='; then
        names=(src solution problem)
    else
        compadd -S '' -- LAB= TEST= MODE= SRC= ARGS= ITEM= CHAPTER=
        compadd -- $verbs
        return
    fi
    compadd -- $names
}

compdef _course_make make
