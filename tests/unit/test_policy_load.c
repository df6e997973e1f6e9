/* SPDX-License-Identifier: MIT */
/* Files of rules: their order, their language, and that whatever is wrong makes a policy that
 * denies and says where. */
#include "fault.h"
#include "judge_rig.h"

static struct vd_policy *load(const char *dir)
{
	struct vd_policy *policy;
	struct vd_error err = VD_ERROR_INIT;

	if (vd_policy_load(&policy, dir, &err))
		fail_msg("%s", err.text);
	return policy;
}

/** It has this fault, no rules, and denies. */
static void assert_broken(struct vd_policy *policy, const char *fault)
{
	struct vd_policy_input input = {
	    .size = sizeof(input), .action = VD_PURPOSE_EXPORT, .time = NOON};
	struct vd_decision *decision;

	assert_non_null(vd_policy_fault(policy));
	assert_holds(vd_policy_fault(policy), fault);
	assert_null(vd_policy_rule(policy, 0));
	assert_int_equal(vd_policy_decide(policy, &input, &decision, NULL), 0);
	assert_false(decision->is_allowed);
	assert_int_equal(decision->effect, VD_EFFECT_DENY);
	assert_string_equal(decision->rule, "policy");
	assert_holds(decision->reason, fault);
	vd_decision_free(decision);
	/* What asks no policy isn't denied by it either. */
	input.action = VD_PURPOSE_INSPECT;
	assert_int_equal(vd_policy_decide(policy, &input, &decision, NULL), 0);
	assert_true(decision->is_allowed);
	vd_decision_free(decision);
	vd_policy_free(policy);
}

static void assert_ids(const struct vd_policy *policy, const char *wanted)
{
	char ids[1024] = "";
	const struct vd_rule *rule;

	if (vd_policy_fault(policy))
		fail_msg("%s", vd_policy_fault(policy));
	for (size_t i = 0; (rule = vd_policy_rule(policy, i)); i++) {
		strcat(ids, i ? " " : "");
		strcat(ids, rule->id);
	}
	assert_string_equal(ids, wanted);
}

#define BUILTINS "builtin:metadata builtin:validity builtin:hardware builtin:host builtin:patches"

static void test_no_folder_is_builtins(void **state)
{
	struct vd_policy *policy = load(NULL);

	(void)state;
	assert_ids(policy, BUILTINS);
	assert_null(vd_policy_rule(policy, 0)->file);
	assert_string_equal(vd_policy_rule(policy, 0)->actions, "run mount-ro mount-rw");
	vd_policy_free(policy);
	policy = load("there-is-none.d");
	assert_ids(policy, BUILTINS);
	vd_policy_free(policy);
	vd_policy_free(NULL);
}

static void test_order_of_files(void **state)
{
	struct vd_policy *policy;
	const struct vd_rule *rule;

	(void)state;
	rules_begin("rules.d");
	rules_write("rules.d", "b.xml",
		    POLICY(RULE("b1", "*", "deny", "") RULE("b2", "run", "allow", "")));
	rules_write("rules.d", "a.xml", POLICY(RULE("a", "edit", "deny", "")));
	rules_write("rules.d", "B.xml", POLICY(RULE("B", "edit", "read-only", "")));
	rules_write("rules.d", ".hidden.xml", "not a rule");
	rules_write("rules.d", "README", "not a rule");
	rules_write("rules.d", "c.xml~", "not a rule");
	policy = load("rules.d/");
	assert_ids(policy, "B a b1 b2 " BUILTINS);
	rule = vd_policy_rule(policy, 3);
	assert_string_equal(rule->file, "rules.d/b.xml");
	assert_int_equal(rule->line, 3);
	assert_int_equal(rule->effect, VD_EFFECT_ALLOW);
	assert_string_equal(rule->actions, "run");
	assert_string_equal(rule->when, "");
	assert_string_equal(vd_effect_name(vd_policy_rule(policy, 0)->effect), "read-only");
	vd_policy_free(policy);
}

static void test_off(void **state)
{
	struct vd_policy *policy;

	(void)state;
	rules_begin("rules.d");
	rules_write("rules.d", "1.xml",
		    POLICY("<off rule='builtin:hardware'/><off rule='later'/>"));
	rules_write("rules.d", "2.xml",
		    POLICY(RULE("later", "*", "deny", "") "<off rule='builtin:host'/>"));
	policy = load("rules.d");
	assert_ids(policy, "builtin:metadata builtin:validity builtin:patches");
	vd_policy_free(policy);
}

static void test_texts(void **state)
{
	struct vd_policy *policy;
	const struct vd_rule *rule;

	(void)state;
	policy =
	    rules_of(POLICY("<rule id='x' actions=' export\n run ' effect='deny'>\n"
			    "<when>\n tag:a <!-- c -->OR <![CDATA[hardware.memory<1G]]>\n</when>"
			    "<reason> because \n of  it </reason></rule>"));
	assert_null(vd_policy_fault(policy));
	rule = vd_policy_rule(policy, 0);
	assert_string_equal(rule->actions, "export run");
	assert_string_equal(rule->reason, "because of it");
	assert_string_equal(rule->when, "tag:a OR hardware.memory<1G");
	vd_policy_free(policy);
}

/* What is wrong, and where: FILE:LINE. */
static void test_faults(void **state)
{
	static const struct {
		const char *text, *fault;
	} wrong[] = {
	    {"", "rules.d/10-test.xml:1: "},
	    {"<policy", "rules.d/10-test.xml:1: "},
	    {POLICY("<rule>"), "rules.d/10-test.xml:4: "},
	    {POLICY("\n<rule/>"), "rules.d/10-test.xml:3: <rule> lacks the attribute \"id\""},
	    {POLICY("\n\n<rul/>"), "rules.d/10-test.xml:4: <rul> is unknown in <policy>"},
	    {POLICY(RULE("a", "run", "deny", "") RULE("a", "run", "deny", "")),
	     "rules.d/10-test.xml:3: the id \"a\" is used twice, first at "
	     "rules.d/10-test.xml:2"},
	    {POLICY(RULE("a", "fly", "deny", "")), "\"fly\" is none of run, mount-ro"},
	    {POLICY(RULE("a", "search", "deny", "")), "\"search\" is none of"},
	    {POLICY(RULE("a", "run *", "deny", "")), "\"*\" is none of"},
	    {POLICY(RULE("a", "", "deny", "")), "actions: none is named"},
	    {POLICY(RULE("a", "run", "block", "")), "effect=\"block\" is none of allow, deny"},
	    {POLICY(RULE("a", "run", "deny", "<when/>")), "<when> is empty"},
	    {POLICY(RULE("a", "run", "deny", WHEN("\n\nos.idd:x"))), "10-test.xml:4: when: "},
	    {POLICY(RULE("a", "run", "deny", WHEN("tag:x AND\n\n(tag:y"))),
	     "10-test.xml:4: when: "},
	    {POLICY(RULE("a", "run", "deny", "<when-xpath>//a[</when-xpath>")),
	     "10-test.xml:2: when-xpath: "},
	    {POLICY(RULE("a", "run", "deny", WHEN("file:**/x"))), "can't be asked by a rule"},
	    {POLICY(RULE("a", "run", "deny", WHEN("NOT (tag:x OR file:a)"))),
	     "can't be asked by a rule"},
	    {POLICY(RULE("a", "run", "deny", WHEN("tag:x OR NOT image.modified before now-9d"))),
	     "10-test.xml:2: when: image.modified can't be asked by a rule"},
	    {POLICY("<off rule='builtin:nothing'/>"),
	     "10-test.xml:2: <off rule=\"builtin:nothing\">: there is no such rule"},
	    {POLICY("<off rule='x y'/>"), "is no id of a rule"},
	    {POLICY(RULE("policy", "run", "deny", "")), "id=\"policy\" is taken"},
	    {POLICY(RULE("-a", "run", "deny", "")), "ids begin with"},
	    {"<!DOCTYPE policy [<!ENTITY a 'b'>]>" POLICY("&a;"), "document type"},
	    {POLICY("&#27;[31m"), "10-test.xml:"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_broken(rules_of(wrong[i].text), wrong[i].fault);
}

static void test_faults_of_folders(void **state)
{
	char name[64], *big = malloc((1 << 20) + 2);

	(void)state;
	rules_begin("rules.d");
	rules_write("rules.d", "file", "");
	assert_broken(load("rules.d/file"), "rules.d/file: ");
	assert_broken(load("rules.d/file/below"), "rules.d/file/below: ");
	assert_broken(load(""), "the name of the folder of rules is empty");
	/* Not the same as a folder that doesn't exist: somebody meant one to be there. */
	assert_int_equal(symlink("not-mounted", "rules.d/link"), 0);
	assert_broken(load("rules.d/link"), "rules.d/link: is a link that leads nowhere");
	assert_int_equal(mkdir("rules.d/a.xml", 0777), 0);
	assert_broken(load("rules.d"), "rules.d/a.xml: is no plain file");
	assert_int_equal(rmdir("rules.d/a.xml"), 0);
	assert_int_equal(symlink("nowhere", "rules.d/a.xml"), 0);
	assert_broken(load("rules.d"), "rules.d/a.xml: ");
	assert_int_equal(unlink("rules.d/a.xml"), 0);
	assert_int_equal(mkfifo("rules.d/a.xml", 0666), 0);
	assert_broken(load("rules.d"), "rules.d/a.xml: is no plain file");
	assert_non_null(big);
	memset(big, ' ', (1 << 20) + 1);
	big[(1 << 20) + 1] = '\0';
	rules_begin("rules.d");
	rules_write("rules.d", "a.xml", big);
	assert_broken(load("rules.d"), "more than 1048576 bytes");
	free(big);
	rules_begin("rules.d");
	for (int i = 0; i < 257; i++) {
		snprintf(name, sizeof(name), "%d.xml", i);
		rules_write("rules.d", name, "<policy xmlns='urn:libvdisk:policy:1'/>");
	}
	assert_broken(load("rules.d"), "257 files of rules");
	assert_int_equal(unlink("rules.d/7.xml"), 0);
	vd_policy_free(load("rules.d"));
}

/* One is too many; without it all are read. */
static void test_number_of_rules(void **state)
{
	size_t size = 4097 * 80, len;
	char *text = malloc(size + 100);
	struct vd_policy *policy;

	(void)state;
	assert_non_null(text);
	len = (size_t)sprintf(text, "<policy xmlns='urn:libvdisk:policy:1'>");
	for (int i = 0; i < 4096; i++)
		len += (size_t)sprintf(text + len, "<rule id='r%d' actions='run' effect='deny'/>\n",
				       i);
	strcpy(text + len, "</policy>");
	policy = rules_of(text);
	assert_null(vd_policy_fault(policy));
	assert_non_null(vd_policy_rule(policy, 4100));
	assert_null(vd_policy_rule(policy, 4101));
	vd_policy_free(policy);
	strcpy(text + len, "<rule id='more' actions='run' effect='deny'/></policy>");
	assert_broken(rules_of(text), "at most 4096 are allowed");
	strcpy(text + len, "</policy>");
	rules_begin("rules.d");
	rules_write("rules.d", "a.xml", text);
	rules_write("rules.d", "b.xml", POLICY("<off rule='r1'/>"));
	assert_broken(load("rules.d"), "rules.d/b.xml:2: one rule too many");
	free(text);
}

/* Memory that ends at any moment: no policy, or a whole one. */
static void test_without_memory(void **state)
{
	struct vd_policy *policy;
	int ret = VD_ENOMEM;
	uint64_t n = 0;
	size_t n_blocks;

	(void)state;
	vd_policy_free(rules_of(
	    POLICY(RULE("a", "run", "deny",
			WHEN("tag:x OR expires before now")) "<off rule='builtin:host'/>")));
	fault_memory_watch();
	n_blocks = fault_memory_blocks();
	for (; ret == VD_ENOMEM; n++) {
		fault_memory_fail(n + 1, true);
		ret = vd_policy_load(&policy, "rules.d", NULL);
		fault_memory_fail(0, false);
		if (!ret) {
			assert_ids(policy, "a builtin:metadata builtin:validity builtin:hardware "
					   "builtin:patches");
			vd_policy_free(policy);
		}
	}
	assert_int_equal(fault_memory_blocks(), n_blocks);
	assert_int_equal(ret, 0);
	assert_true(n > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_no_folder_is_builtins),
	    cmocka_unit_test(test_order_of_files),
	    cmocka_unit_test(test_off),
	    cmocka_unit_test(test_texts),
	    cmocka_unit_test(test_faults),
	    cmocka_unit_test(test_faults_of_folders),
	    cmocka_unit_test(test_number_of_rules),
	    cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
