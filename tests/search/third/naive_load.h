/* SPDX-License-Identifier: MIT */
/* Memory of the third evaluator: all that was taken since a mark is given back at once. */
#ifndef TEST_SEARCH_NAIVE_LOAD_H
#define TEST_SEARCH_NAIVE_LOAD_H

#include <stddef.h>

struct naive_mark {
	void *chunk;
	size_t used;
};
struct naive_mark naive_mark(void);
void naive_release(struct naive_mark mark);

#endif
