/*
 * report.h - result lines of checks, on standard output.
 *
 *     report_pass("%s static hints.md", lab);
 *     report_fail("%s static hints.md: %s", lab, "no such file");
 *
 * One line is one result: "pass LAB WHAT ITEM", "fail LAB WHAT ITEM: reason",
 * "skip LAB WHAT ITEM: reason". Lines that follow a failure, indented by four
 * blanks, say more about it. `course summary` adds them up.
 */
#ifndef REPORT_H
#define REPORT_H

#include "text.h"

#define report_pass(...) report_line("pass ", text(__VA_ARGS__))
#define report_fail(...) report_line("fail ", text(__VA_ARGS__))
#define report_skip(...) report_line("skip ", text(__VA_ARGS__))
/* A line that belongs to the last failure. */
#define report_detail(...) report_line("    ", text(__VA_ARGS__))

void report_line(const char *start, const char *rest);

/* The command's exit status: 1 when a failure was reported, else 0. */
int report_status(void);

#endif
