/* SPDX-License-Identifier: MIT */
/* One policy, many threads that decide by it: each gets the answer that one alone gets. */
#include <pthread.h>

#include "judge_rig.h"

#define N_THREADS 4
#define N_ROUNDS  100

static const char document[] =
    "<patches xmlns='urn:libvdisk:patches:1'><open id='CVE-1' severity='low'/></patches>";

static int bring(void *user, const char *kind, char **bytes, size_t *len, struct vd_error *err)
{
	(void)user;
	if (strcmp(kind, "patches") != 0)
		return vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET, "none");
	*bytes = strdup(document);
	*len = sizeof(document) - 1;
	return *bytes ? 0 : VD_ENOMEM;
}

struct asking {
	const struct vd_policy *policy;
	struct vd_policy_input input;
	const char *rule, *facts;
	int n_wrong;
};

static void *ask(void *user)
{
	struct asking *asking = user;

	for (int i = 0; i < N_ROUNDS; i++) {
		struct vd_decision *d;

		if (vd_policy_decide(asking->policy, &asking->input, &d, NULL)) {
			asking->n_wrong++;
			continue;
		}
		asking->n_wrong += d->is_allowed || strcmp(d->rule, asking->rule) != 0 ||
				   strcmp(d->facts, asking->facts) != 0;
		vd_decision_free(d);
	}
	return NULL;
}

static void test_many_threads(void **state)
{
	struct asking asking[N_THREADS];
	pthread_t threads[N_THREADS];
	struct judge j;

	(void)state;
	judge_begin(
	    &j, POLICY(RULE("critical", "*", "deny",
			    "<when-xpath>//patches:open[@severity='critical']</when-xpath>")
			   RULE("low", "export", "deny",
				"<when-xpath>//patches:open[@severity='low']</when-xpath>")
			       RULE("tag", "run", "deny", WHEN("tag:we* AND host.arch:x86_64"))));
	says(j.document, "tag", "web", 0);
	says(j.host, "host.arch", "x86_64", 0);
	j.bring = bring;
	for (int i = 0; i < N_THREADS; i++) {
		j.action = i % 2 ? VD_PURPOSE_RUN : VD_PURPOSE_EXPORT;
		asking[i] = (struct asking){.policy = j.policy,
					    .input = judge_input(&j),
					    .rule = i % 2 ? "tag" : "low",
					    .facts = i % 2 ? "tag = web\nhost.arch = x86_64" : ""};
	}
	for (int i = 0; i < N_THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask, &asking[i]), 0);
	for (int i = 0; i < N_THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (int i = 0; i < N_THREADS; i++)
		assert_int_equal(asking[i].n_wrong, 0);
	judge_end(&j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_many_threads)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
