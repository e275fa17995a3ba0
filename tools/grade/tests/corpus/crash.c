/* graded 2: a pointer to nowhere */
int twice(int n)
{
    return *(volatile int *)(long)(n & 0);
}
