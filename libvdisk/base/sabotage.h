/* SPDX-License-Identifier: MIT */
/*
 * Steps of the write path that a test-only build (-DVD_SABOTAGE) can leave out, one at a time, to
 * prove that the tests would notice. In every other build VD_SABOTAGED is 0 and costs nothing.
 * docs/testing.md lists what each one breaks and which test catches it.
 */
#ifndef VD_BASE_SABOTAGE_H
#define VD_BASE_SABOTAGE_H

enum vd_sabotage {
	VD_SABOTAGE_NONE = 0,
	VD_SABOTAGE_I1_FILE_ID,  /* a session begins without a new FileWriteGuid */
	VD_SABOTAGE_I1_DATA_ID,  /* a guest's change begins without a new DataWriteGuid */
	VD_SABOTAGE_I2_SYNC,     /* both headers are written without a sync in between */
	VD_SABOTAGE_I3_HEADER,   /* headers name a LogGuid before its first entry is durable */
	VD_SABOTAGE_I6_FLUSHED,  /* an entry claims a longer file than there is */
	VD_SABOTAGE_I6_TRIM,     /* the file is cut off while the log still asks for its length */
	VD_SABOTAGE_I7_REUSE,    /* freed space is reused before the commit that frees it */
	VD_SABOTAGE_I8_SPLIT,    /* what must change together stands in two entries */
	VD_SABOTAGE_F1_ZERO,     /* recycled space keeps its old bytes */
	VD_SABOTAGE_F1_EARLY,    /* bits are set before the sectors are written */
	VD_SABOTAGE_F1_OLD_BITS, /* a block that becomes partial keeps bits of an earlier life */
	VD_SABOTAGE_F1_BITMAP,   /* a new bitmap block isn't made of zeros */
	VD_SABOTAGE_F2_SYNC,     /* no sync before the entry */
	VD_SABOTAGE_F4_SYNC,     /* no sync after the entry */
	VD_SABOTAGE_F5_EARLY,    /* pages are put in place before the entry is durable */
	VD_SABOTAGE_F5_SEQ,      /* an entry doesn't get the next sequence number */
	VD_SABOTAGE_CLOSE_SYNC,  /* the log is declared empty before what it holds is in place */
	VD_SABOTAGE_COALESCE,    /* a flush is answered by a commit that froze before it came */
	VD_SABOTAGE_THAW,        /* a commit that failed forgets its pages */
	VD_SABOTAGE_POISON,      /* after a failed sync the next one may succeed */
	VD_SABOTAGE_GATE,        /* freed space is punched while readers still hold it */
	VD_SABOTAGE_EVICT,       /* pages that aren't in place yet may be evicted */
	VD_SABOTAGE_LOCK,        /* publishing a write takes no lock */
	VD_SABOTAGE_CHILD_TRIM,  /* a discarded block of a child shows the parent again */
	VD_SABOTAGE_REPLAY_SYNC, /* the log is declared empty before the replay is durable */
	VD_SABOTAGE_N
};

/* Checks of the decoders, and the fuzz target that has to miss each (tests/fuzz/planted.sh). */
enum vd_sabotage_decode {
	VD_SABOTAGE_DECODE_FIRST = 1000,
	VD_SABOTAGE_DECODE_HEADER_SEQ,   /* headers: the older of two headers counts */
	VD_SABOTAGE_DECODE_HEADER_LOG,   /* headers: the offset of the log isn't looked at */
	VD_SABOTAGE_DECODE_REGION_CRC,   /* regions: the checksum of the table */
	VD_SABOTAGE_DECODE_REGION_APART, /* regions: that regions don't overlap */
	VD_SABOTAGE_DECODE_ITEM_BOUND,   /* metadata: off by one at the end of the region */
	VD_SABOTAGE_DECODE_ITEM_APART,   /* metadata: that items don't overlap */
	VD_SABOTAGE_DECODE_KEY_BOUND,    /* locator: that a key lies within the item */
	VD_SABOTAGE_DECODE_KEY_TWICE,    /* locator: that each key is there once */
	VD_SABOTAGE_DECODE_LOG_DESCS,    /* log: that the descriptors fit into the entry */
	VD_SABOTAGE_DECODE_LOG_CRC,      /* log: the checksum of an entry */
	VD_SABOTAGE_DECODE_LOG_TORN,     /* log: sequence numbers in the data sectors */
	VD_SABOTAGE_DECODE_LOG_TAIL,     /* log: that the head's tail leads to the head */
	VD_SABOTAGE_DECODE_LOG_TARGET,   /* log: that an entry doesn't write into the log */
	VD_SABOTAGE_DECODE_LOG_ORDER,    /* log: of two that overlap, the later one counts */
	VD_SABOTAGE_DECODE_BAT_BOUND,    /* bat: the least offset of a block */
	VD_SABOTAGE_DECODE_BITMAP_RUN,   /* bat: a run of bits ends a sector too late */
	VD_SABOTAGE_DECODE_UTF16_LONE,   /* utf16: that surrogates come in pairs */
};

#ifdef VD_SABOTAGE
extern int vd_sabotage;
#define VD_SABOTAGED(step) __builtin_expect(vd_sabotage == VD_SABOTAGE_##step, 0)
#else
#define VD_SABOTAGED(step) 0
#endif

#endif
