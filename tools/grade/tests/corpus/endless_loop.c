/* graded 3: one test never ends */
int twice(int n)
{
    for (volatile int i = 0; n < 0;)
        i = !i;
    return 2 * n;
}
