/* SPDX-License-Identifier: MIT */
/* XPath over the documents of an image, one after the other. */
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "query/query_tree.h"
#include "xml/xpath.h"

struct vd_xpath {
	struct vd_expression *expression;
};

int vd_xpath_compile(struct vd_xpath **out, const char *text, struct vd_error *err)
{
	struct vd_xpath *xpath = vd_calloc(1, sizeof(*xpath));
	int ret;

	if (!xpath)
		return vd_no_memory(err, sizeof(*xpath), "an expression");
	ret = vd_expression_compile(&xpath->expression, text, err);
	if (ret) {
		vd_free(xpath);
		return ret;
	}
	*out = xpath;
	return 0;
}

void vd_xpath_free(struct vd_xpath *xpath)
{
	if (!xpath)
		return;
	vd_expression_free(xpath->expression);
	vd_free(xpath);
}

/** Damage: what is there can't be read. */
static bool is_damage(int ret)
{
	return ret == VD_ECORRUPT || ret == VD_EUNSUPPORTED;
}

/** A document of just this category. */
static int parse(struct vd_doc **doc, const struct vd_category *category, const char *bytes,
		 size_t len)
{
	int ret = vd_doc_parse(doc, bytes, len, NULL);

	if (ret == VD_ERANGE)
		return VD_ECORRUPT;
	if (!ret && strcmp(vd_doc_xmlns(*doc), category->xmlns) != 0) {
		vd_doc_free(*doc);
		return VD_ECORRUPT;
	}
	return ret;
}

static int match_one(struct vd_xpath *xpath, const struct vd_category *category,
		     vd_document_fn document, void *user, bool *is_match, struct vd_error *err)
{
	VD_AUTO_FREE char *bytes = NULL;
	struct vd_error why = VD_ERROR_INIT;
	struct vd_doc *doc = NULL;
	size_t len = 0;
	int ret = document(user, category->name, &bytes, &len, &why);

	/* That there is none, or a damaged one, is no error. */
	if (ret && err && ret != VD_ENOENT && !is_damage(ret))
		*err = why;
	if (ret)
		return ret;
	ret = parse(&doc, category, bytes, len);
	if (ret)
		return ret == VD_ENOMEM ? vd_no_memory(err, len, "a document") : ret;
	ret = vd_expression_match(xpath->expression, doc, is_match, err);
	vd_doc_free(doc);
	return ret;
}

int vd_xpath_match(struct vd_xpath *xpath, vd_document_fn document, void *user, bool *is_match,
		   size_t *n_damaged, struct vd_error *err)
{
	const struct vd_category *category;

	*is_match = false;
	if (n_damaged)
		*n_damaged = 0;
	for (size_t i = 0; !*is_match && (category = vd_category_at(i)); i++) {
		int ret = match_one(xpath, category, document, user, is_match, err);

		if (is_damage(ret) && n_damaged)
			(*n_damaged)++;
		if (ret && ret != VD_ENOENT && !is_damage(ret))
			return ret;
	}
	return 0;
}
