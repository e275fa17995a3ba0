#include "quiz.h"
#include "verbs.h"

#include <ctype.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_line(struct lines *lines, char *line)
{
    lines->line = grow(lines->line, lines->count, sizeof *lines->line);
    lines->line[lines->count++] = line;
}

static void add_question(struct quiz *quiz, const char *chapter, char *heading)
{
    size_t digits = strspn(heading, "0123456789");
    quiz->questions =
        grow(quiz->questions, quiz->count, sizeof *quiz->questions);
    struct question *question = &quiz->questions[quiz->count++];
    *question =
        (struct question){.id = text("%s/%.*s", chapter, (int)digits, heading)};
    add_line(&question->body, heading);
}

/* "**b)** because …" */
static char letter_of(const char *line)
{
    bool is_letter = starts_with(line, "**") &&
                     islower((unsigned char)line[2]) &&
                     starts_with(line + 3, ")**");
    return (char)(is_letter ? line[2] : '\0');
}

struct quiz quiz_read(const struct chapter *chapter)
{
    struct quiz quiz = {0};
    struct lines lines =
        file_lines(text("%s/%s/checkpoint.md", course_root(), chapter->name));
    bool in_quiz = false, in_answer = false;
    for (size_t i = 0; i < lines.count; i++) {
        char *line = lines.line[i];
        struct question *question =
            quiz.count ? &quiz.questions[quiz.count - 1] : NULL;
        if (starts_with(line, "## ")) {
            in_quiz = !strcmp(line, "## Quiz");
        } else if (in_quiz && starts_with(line, "### ")) {
            add_question(&quiz, chapter->name, line + strlen("### "));
        } else if (!in_quiz || !question) {
            continue;
        } else if (starts_with(line, "<details>") ||
                   starts_with(line, "</details>")) {
            in_answer = line[1] != '/';
        } else if (in_answer) {
            if (!question->right)
                question->right = letter_of(line);
            add_line(&question->answer, line);
        } else {
            add_line(&question->body, line);
        }
    }
    return quiz;
}

bool quiz_known(const struct progress *progress,
                const struct question *question)
{
    const struct fact *last = progress_last(progress, "answered", question->id);
    return last && !strcmp(last->detail, "right");
}

size_t quiz_count_known(const struct progress *progress,
                        const struct quiz *quiz)
{
    size_t known = 0;
    for (size_t i = 0; i < quiz->count; i++)
        known += quiz_known(progress, &quiz->questions[i]);
    return known;
}

/* Paragraphs and choices wrapped, code as it stands, blank lines once. */
static void print_page(const struct lines *lines)
{
    bool code = false, blank = true;
    for (size_t i = 0; i < lines->count; i++) {
        const char *line = lines->line[i];
        bool fence = starts_with(line, "```");
        code ^= fence;
        if (fence || (blank && !*line))
            continue;
        blank = !*line;
        if (code)
            printf("    %s\n", line);
        else if (starts_with(line, "- "))
            print_wrapped(line + 2, 3);
        else
            print_wrapped(line, 0);
    }
    if (!blank)
        putchar('\n');
}

/* Asks until the answer is one of the wanted letters, Enter, or q. Returns the
 * letter, '\n' for Enter, and 'q', too, at the end of the input. */
static char ask(const char *prompt, const char *wanted)
{
    char *line = NULL;
    size_t size = 0;
    char answer;
    do {
        printf("%s", prompt);
        fflush(stdout);
        if (getline(&line, &size, stdin) < 0) {
            putchar('\n');
            answer = 'q';
            break;
        }
        answer = line[0];
        if (isalpha((unsigned char)answer))
            answer = (char)tolower((unsigned char)answer);
    } while (!strchr(wanted, answer) ||
             (answer != '\n' && line[1] != '\n' && line[1] != '\0'));
    free(line);
    return answer;
}

/* The letters of the question's choices. */
static const char *choices(const struct question *question)
{
    const char *letters = "";
    for (size_t i = 0; i < question->body.count; i++) {
        const char *line = question->body.line[i];
        if (starts_with(line, "- ") && line[2] && line[3] == ')')
            letters = text("%s%c", letters, line[2]);
    }
    return letters;
}

/* Asks one question. Returns 'q' to end, else 'y' or 'n': was it right? */
static char ask_question(const struct question *question)
{
    print_page(&question->body);
    const char *letters = choices(question);
    bool choice = question->right && *letters;
    const char *prompt = "Decide, then press Enter (q ends): ";
    if (choice)
        prompt =
            text("Your answer (%c to %c; Enter shows it, q ends): ", letters[0],
                 letters[strlen(letters) - 1]);
    char answer = ask(prompt, choice ? text("%s\nq", letters) : "\nq");
    if (answer == 'q')
        return 'q';
    putchar('\n');
    if (choice) {
        bool right = answer == question->right;
        printf("%s%s%s\n", colour(right ? GREEN : RED),
               right            ? "Right."
               : answer == '\n' ? "The answer:"
                                : "No.",
               colour(PLAIN));
        print_page(&question->answer);
        return right ? 'y' : 'n';
    }
    print_page(&question->answer);
    return ask("Did you have it (y/n, q ends)? ", "ynq");
}

/* Without a name: the first with a question that is not known yet, or the
 * first that has any. */
static const struct chapter *find_chapter(const struct course *course,
                                          const struct progress *progress,
                                          const char *part)
{
    if (part) {
        const struct chapter *chapter = course_chapter(course, part);
        if (!chapter)
            errx(STATUS_USAGE,
                 "CHAPTER=%s: no chapter is called so, or several "
                 "are",
                 part);
        return chapter;
    }
    const struct chapter *first = NULL;
    for (int c = CHAPTER_COUNT - 1; c >= 0; c--) {
        struct quiz quiz = quiz_read(&course->chapters[c]);
        if (quiz.count > quiz_count_known(progress, &quiz) ||
            (!first && quiz.count))
            first = &course->chapters[c];
    }
    return first;
}

int quiz_verb(int argc, char **argv)
{
    struct course course = course_read();
    struct progress progress = progress_read();
    const struct chapter *chapter =
        find_chapter(&course, &progress, argc > 1 ? argv[1] : NULL);
    struct quiz quiz = {0};
    if (chapter)
        quiz = quiz_read(chapter);
    if (quiz.count == 0)
        errx(STATUS_USAGE, "%s has no quiz yet",
             chapter ? chapter->name : "the course");
    size_t known = quiz_count_known(&progress, &quiz);
    bool all = known == quiz.count;
    size_t asked = 0, right = 0, to_ask = all ? quiz.count : quiz.count - known;
    printf("%s: %zu question%s%s\n\n", chapter->name, to_ask,
           to_ask == 1 ? "" : "s",
           known && !all ? ", those that you have not answered rightly yet"
                         : "");
    for (size_t i = 0; i < quiz.count; i++) {
        const struct question *question = &quiz.questions[i];
        if (!all && quiz_known(&progress, question))
            continue;
        char answer = ask_question(question);
        if (answer == 'q')
            break;
        asked++;
        right += answer == 'y';
        progress_add("answered", question->id,
                     answer == 'y' ? "right" : "wrong");
    }
    progress = progress_read();
    printf("%zu of %zu right. Of all %zu you know %zu%s\n", right, asked,
           quiz.count, quiz_count_known(&progress, &quiz),
           quiz_count_known(&progress, &quiz) < quiz.count
               ? "; make quiz asks the others again."
               : ".");
    return STATUS_PASS;
}
