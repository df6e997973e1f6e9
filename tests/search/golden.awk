# SPDX-License-Identifier: MIT
# The words of the conditions in golden.txt, for image number i.
function facts()
{
	M = i % 20 != 19 && i % 40 != 17
	T = M && i % 20 != 16
	V = i % 20 != 17 && i % 20 != 18
	P = M && i % 5 < 3
	NC = P ? i % 4 : 0
	H = M && i % 4 != 3
	NA = H ? i % 3 + 1 : 0
	R = M && i % 7 == 0
	N = M && i % 6 == 1
	F = M && i % 4 == 1
	NP = F ? i % 3 + 1 : 0
	X = T && (i % 8 == 5 || i % 8 == 2)
	D = int(i / 2) % 8
}
function c(x,   n)
{
	for (n = 0; n < NC; n++)
		if ((i + n * 37) % 50 == x)
			return 1
	return 0
}
function sev(x,   n)
{
	for (n = 0; n < NC && n < 2; n++)
		if ((i + n) % 7 == x)
			return 1
	return 0
}
function score(x,   n)
{
	for (n = 0; n < NC && n < 2; n++)
		if ((i * 3 + n * 11) % 101 >= x)
			return 1
	return 0
}
function k(m, x)
{
	return kk(m, x, 1, 16)
}
function mem(a, b)
{
	return kk(1, 0, a, b)
}
function kk(m, x, a, b,   n, g)
{
	for (n = 0; n < NA; n++) {
		g = 1 + (i * 7 + n * 3) % 16
		if ((i + n) % m == x && g >= a && g <= b)
			return 1
	}
	return 0
}
function fs(x,   n)
{
	for (n = 1; n <= NP; n++)
		if ((i + n) % 5 == x)
			return 1
	return 0
}
function au(x,   n)
{
	for (n = 0; M && n < i % 3; n++)
		if ((i + n) % 7 == x)
			return 1
	return 0
}
