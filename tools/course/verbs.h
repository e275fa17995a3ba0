/*
 * verbs.h - what `course VERB` calls. argv[0] is the verb; main.c has checked
 * the number of arguments. Each returns the command's exit status.
 */
#ifndef VERBS_H
#define VERBS_H

int progress_verb(int argc, char **argv);
int next_verb(int argc, char **argv);
int start_verb(int argc, char **argv);
int tested_verb(int argc, char **argv);
int done_verb(int argc, char **argv);
int undone_verb(int argc, char **argv);
int quiz_verb(int argc, char **argv);
int hint_verb(int argc, char **argv);
int compare_verb(int argc, char **argv);
int reset_verb(int argc, char **argv);
int undo_verb(int argc, char **argv);
int watch_verb(int argc, char **argv);
int update_verb(int argc, char **argv);
int mistake_verb(int argc, char **argv);
int verdicts_verb(int argc, char **argv);
int static_verb(int argc, char **argv);
int docs_verb(int argc, char **argv);
int summary_verb(int argc, char **argv);
int commands_verb(int argc, char **argv);

/* Prints how the verb is used and ends the command with status 2. */
_Noreturn void usage_of(const char *name);

#endif
