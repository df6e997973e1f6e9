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

#ifdef VD_SABOTAGE
extern int vd_sabotage;
#define VD_SABOTAGED(step) __builtin_expect(vd_sabotage == VD_SABOTAGE_##step, 0)
#else
#define VD_SABOTAGED(step) 0
#endif

#endif
