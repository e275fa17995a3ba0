/* does-not-build 0: ten lines that become a thousand million */
#define A(x) x x x x x x x x x x
#define B(x) A(A(x))
#define C(x) B(B(x))
#define D(x) C(C(x))
#define E(x) D(D(x))
int bomb[] = {E(1, )};
