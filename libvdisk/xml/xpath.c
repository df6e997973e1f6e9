/* SPDX-License-Identifier: MIT */
/*
 * XPath over documents, by libxml2. Before it compiles an expression, its tokens are looked at
 * here, so that names that would only fail while evaluating (prefixes, functions, variables) are
 * told at once, with their place.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <libxml/xpath.h>
#include <libxml/xpathInternals.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "xml/doc_tree.h"
#include "xml/xpath.h"

/* libxml2 counts an operation for each node that a step looks at, but not what one costs: that goes
 * with the text that it may have to put together. So there is a clock, too: what stands in
 * brackets, which is what is done many times, goes through a function that looks at it. */
#define OPERATIONS_MAX (1ul << 20)
#define PER_ELEMENT    16ul /* so many in any case, so that each element can be looked at */
#define SECONDS_MAX    2    /* of the thread */
#define CLOCK_NAME     "vd-in-time"

struct vd_expression {
	xmlXPathContext *context;
	xmlXPathCompExpr *compiled;
	struct timespec until;
	bool is_late;
};

/* ---- looking at the tokens ---- */

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-' || c == '.' || (unsigned char)c >= 0x80;
}

static bool is_name_start(char c)
{
	return is_name_char(c) && c != '-' && c != '.' && !(c >= '0' && c <= '9');
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_one_of(const char *name, size_t len, const char *const *list)
{
	for (; *list; list++) {
		if (strlen(*list) == len && memcmp(*list, name, len) == 0)
			return true;
	}
	return false;
}

static bool is_function(const char *name, size_t len)
{
	static const char *const known[] = {
	    "last", "position", "count", "id", "local-name", "namespace-uri", "name", "string",
	    "concat", "starts-with", "contains", "substring-before", "substring-after", "substring",
	    "string-length", "normalize-space", "translate", "boolean", "not", "true", "false",
	    "lang", "number", "sum", "floor", "ceiling", "round",
	    /* tests of nodes */
	    "node", "text", "comment", "processing-instruction",
	    /* operators, before a parenthesis */
	    "and", "or", "div", "mod", NULL};

	return is_one_of(name, len, known);
}

static bool is_category(const char *name, size_t len)
{
	const struct vd_category *category;

	for (size_t i = 0; (category = vd_category_at(i)); i++) {
		if (strlen(category->name) == len && memcmp(category->name, name, len) == 0)
			return true;
	}
	return false;
}

/** A name, with what follows it; *end is set behind it. */
static int check_name(const char *text, const char *p, const char **end, struct vd_error *err)
{
	const char *q = p;
	size_t len;

	while (is_name_char(*q))
		q++;
	len = (size_t)(q - p);
	*end = q;
	if (q[0] == ':' && q[1] != ':' && !is_category(p, len))
		return vd_error_set(err, VD_EINVAL, 0, (uint64_t)(p - text),
				    "the prefix %.*s is none of the categories of documents",
				    (int)len, p);
	if (q[0] == ':' && q[1] != ':') {
		*end = q + 1;
		return 0;
	}
	while (is_blank(*q))
		q++;
	if (*q == '(' && !is_function(p, len))
		return vd_error_set(err, VD_EINVAL, 0, (uint64_t)(p - text),
				    "there is no function %.*s in XPath 1.0", (int)len, p);
	return 0;
}

static int check_tokens(const char *text, struct vd_error *err)
{
	unsigned depth = 0;

	for (const char *p = text, *end; *p; p = end) {
		int ret = 0;

		end = p + 1;
		if (*p == '"' || *p == '\'') {
			end = strchr(p + 1, *p);
			if (!end)
				return vd_error_set(err, VD_EINVAL, 0, (uint64_t)(p - text),
						    "a text without its second quote");
			end++;
		} else if (is_name_start(*p)) {
			ret = check_name(text, p, &end, err);
		} else if (*p == '$') {
			ret = vd_error_set(err, VD_EINVAL, 0, (uint64_t)(p - text),
					   "there are no variables here");
		} else if (*p == '(' || *p == '[') {
			if (++depth > VD_XPATH_DEPTH_MAX)
				ret = vd_error_set(err, VD_ERANGE, 0, (uint64_t)(p - text),
						   "more than %u levels within each other",
						   VD_XPATH_DEPTH_MAX);
		} else if ((*p == ')' || *p == ']') && depth) {
			depth--;
		} else if (*p >= '0' && *p <= '9') {
			/* "1e3" isn't a number, and "e3" then no name. */
			while (is_name_char(*end))
				end++;
		}
		if (ret)
			return ret;
	}
	return 0;
}

/** With CLOCK_NAME(...) around what stands in brackets, but for numbers. NULL: no memory. */
static char *with_clock(const char *text)
{
	size_t n = 0, to = 0;
	char *copy;

	for (const char *p = text; *p; p++)
		n += *p == '[' || *p == ']';
	copy = vd_malloc(strlen(text) + n * sizeof(CLOCK_NAME "()") + 1);
	for (const char *p = text, *end; copy && *p; p = end) {
		end = p + 1;
		if (*p == '"' || *p == '\'')
			end = strchr(end, *p) + 1; /* check_tokens found it */
		else if (*p == '[' && p[1 + strspn(p + 1, "0123456789 ")] == ']')
			end = strchr(p, ']') + 1;
		to += (size_t)sprintf(copy + to, "%s%.*s%s", *p == ']' ? ")" : "", (int)(end - p),
				      p, end == p + 1 && *p == '[' ? CLOCK_NAME "(" : "");
	}
	return copy;
}

/** CLOCK_NAME: its argument, which lies on the stack, is its value. */
static void look_at_clock(xmlXPathParserContext *parser, int n_args)
{
	struct vd_expression *expression = parser->context->userData;
	struct timespec now;

	(void)n_args;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	if (now.tv_sec < expression->until.tv_sec ||
	    (now.tv_sec == expression->until.tv_sec && now.tv_nsec < expression->until.tv_nsec))
		return;
	expression->is_late = true;
	xmlXPathErr(parser, XPATH_OP_LIMIT_EXCEEDED);
}

/* ---- compiling ---- */

static int register_names(struct vd_expression *expression)
{
	const struct vd_category *category;

	expression->context->userData = expression;
	if (xmlXPathRegisterFunc(expression->context, (const xmlChar *)CLOCK_NAME, look_at_clock))
		return VD_ENOMEM;
	for (size_t i = 0; (category = vd_category_at(i)); i++) {
		if (xmlXPathRegisterNs(expression->context, (const xmlChar *)category->name,
				       (const xmlChar *)category->xmlns))
			return VD_ENOMEM;
	}
	return 0;
}

/** What libxml2 found, with its place. */
static int compile_error(const struct vd_expression *expression, size_t len, struct vd_error *err)
{
	const xmlError *last = &expression->context->lastError;
	char text[VD_ERROR_TEXT_MAX];
	uint64_t at = last->int1 > 0 ? (uint64_t)last->int1 : 0;

	vd_xml_text(last, -1, text);
	return vd_error_set(err, VD_EINVAL, 0, at < len ? at : len, "no XPath 1.0: %s",
			    last->message ? text : "the expression ends too early");
}

int vd_expression_compile(struct vd_expression **out, const char *text, struct vd_error *err)
{
	VD_AUTO_QUIET struct vd_quiet quiet;
	VD_AUTO_FREE char *clocked = NULL;
	struct vd_expression *expression;
	size_t len = strlen(text);
	int ret;

	vd_quiet_begin(&quiet);
	if (len > VD_XPATH_TEXT_MAX)
		return vd_error_set(err, VD_ERANGE, 0, VD_XPATH_TEXT_MAX,
				    "an expression of %zu bytes; at most %u are allowed", len,
				    VD_XPATH_TEXT_MAX);
	ret = check_tokens(text, err);
	if (ret)
		return ret;
	expression = vd_calloc(1, sizeof(*expression));
	if (!expression)
		return vd_no_memory(err, sizeof(*expression), "an expression");
	expression->context = xmlXPathNewContext(NULL);
	if (!expression->context || register_names(expression)) {
		vd_expression_free(expression);
		return vd_no_memory(err, len, "an expression");
	}
	expression->compiled = xmlXPathCtxtCompile(expression->context, (const xmlChar *)text);
	if (!expression->compiled) {
		ret = compile_error(expression, len, err);
		vd_expression_free(expression);
		return ret;
	}
	/* The first one was to see what is wrong, and where. */
	xmlXPathFreeCompExpr(expression->compiled);
	clocked = with_clock(text);
	expression->compiled =
	    clocked ? xmlXPathCtxtCompile(expression->context, (const xmlChar *)clocked) : NULL;
	if (!expression->compiled) {
		vd_expression_free(expression);
		return vd_no_memory(err, len, "an expression");
	}
	*out = expression;
	return 0;
}

void vd_expression_free(struct vd_expression *expression)
{
	if (!expression)
		return;
	xmlXPathFreeCompExpr(expression->compiled);
	xmlXPathFreeContext(expression->context);
	vd_free(expression);
}

/* ---- evaluating ---- */

static size_t count_elements(const xmlNode *root)
{
	const xmlNode *node = root;
	size_t n = 0;

	while (node) {
		n += node->type == XML_ELEMENT_NODE;
		if (node->type == XML_ELEMENT_NODE && node->children) {
			node = node->children;
			continue;
		}
		while (node && node != root && !node->next)
			node = node->parent;
		node = !node || node == root ? NULL : node->next;
	}
	return n;
}

static void limit(struct vd_expression *expression, const struct vd_doc *doc)
{
	unsigned long least = PER_ELEMENT * count_elements(xmlDocGetRootElement(doc->xml));

	expression->context->opLimit = least > OPERATIONS_MAX ? least : OPERATIONS_MAX;
	expression->context->opCount = 0;
	expression->is_late = false;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &expression->until);
	expression->until.tv_sec += SECONDS_MAX;
}

int vd_expression_match(struct vd_expression *expression, const struct vd_doc *doc, bool *is_match,
			struct vd_error *err)
{
	VD_AUTO_QUIET struct vd_quiet quiet;
	xmlXPathContext *context = expression->context;
	xmlXPathObject *object;

	vd_quiet_begin(&quiet);
	limit(expression, doc);
	xmlResetError(&context->lastError);
	context->doc = doc->xml;
	context->node = (xmlNode *)doc->xml;
	object = xmlXPathCompiledEval(expression->compiled, context);
	context->doc = NULL;
	context->node = NULL;
	if (object) {
		*is_match = xmlXPathCastToBoolean(object) != 0;
		xmlXPathFreeObject(object);
		return 0;
	}
	if (context->lastError.code == XML_ERR_NO_MEMORY)
		return vd_no_memory(err, context->opLimit, "an XPath expression");
	if (expression->is_late)
		return vd_error_set(err, VD_ERANGE, 0, VD_NO_OFFSET,
				    "the XPath expression takes more than %d s in a document",
				    SECONDS_MAX);
	if (context->opCount >= context->opLimit)
		return vd_error_set(err, VD_ERANGE, 0, VD_NO_OFFSET,
				    "the XPath expression takes more than %lu operations",
				    context->opLimit);
	return vd_error_set(err, VD_ERANGE, 0, VD_NO_OFFSET,
			    "the XPath expression can't be evaluated: %s",
			    quiet.line ? quiet.text : "it goes too deep");
}
