/* SPDX-License-Identifier: MIT */
/*
 * One target as libFuzzer wants it: compiled once for each, with FUZZ_TARGET naming it. In a build
 * with -DVD_SABOTAGE the environment's VD_PLANT says which step of the decoders is left out.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/sabotage.h"
#include "fuzz.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed);
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define JOIN_(a, b) a##b
#define JOIN(a, b)  JOIN_(a, b)
#define TARGET      JOIN(fuzz_, FUZZ_TARGET)

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_init();
#ifdef VD_SABOTAGE
	if (getenv("VD_PLANT"))
		vd_sabotage = VD_SABOTAGE_DECODE_FIRST + atoi(getenv("VD_PLANT"));
#endif
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_run(&TARGET, data, size);
	return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
	if (!TARGET.record || seed % 4 == 0)
		return LLVMFuzzerMutate(data, size, max);
	return fuzz_mutate(&TARGET, data, size, max, seed);
}
