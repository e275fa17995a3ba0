/* graded 4: very much to say for a compiler */
#pragma GCC warning "once"
