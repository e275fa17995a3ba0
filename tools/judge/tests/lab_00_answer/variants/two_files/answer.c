#include "answer.h"
#include "one.h"

int answer(int n)
{
    return n + ONE;
}
