/* SPDX-License-Identifier: MIT */
/*
 * Steps of the write path that a test-only build (-DVD_SABOTAGE) can leave out, one at a time, to
 * prove that the tests would notice. In every other build VD_SABOTAGED is 0 and costs nothing.
 * The words say what is broken then; tests/fault/sabotage.sh knows which test has to notice.
 */
#ifndef VD_BASE_SABOTAGE_H
#define VD_BASE_SABOTAGE_H

#define VD_SABOTAGE_STEPS(X)                                                                       \
	X(I1_FILE_ID, "a session begins without a new FileWriteGuid")                              \
	X(I1_DATA_ID, "a guest's change begins without a new DataWriteGuid")                       \
	X(I2_SYNC, "both headers are written without a sync in between")                           \
	X(I3_HEADER, "headers name a LogGuid before its first entry is durable")                   \
	X(I6_FLUSHED, "an entry claims a longer file than there is")                               \
	X(I6_TRIM, "the file is cut off while the log still asks for its length")                  \
	X(I7_REUSE, "freed space is reused before the commit that frees it")                       \
	X(I8_SPLIT, "what must change together stands in two entries")                             \
	X(F1_ZERO, "recycled space keeps its old bytes")                                           \
	X(F1_EARLY, "bits are set before the sectors are written")                                 \
	X(F1_OLD_BITS, "a block that becomes partial keeps bits of an earlier life")               \
	X(F1_BITMAP, "a new bitmap block isn't made of zeros")                                     \
	X(F2_SYNC, "no sync before the entry")                                                     \
	X(F4_SYNC, "no sync after the entry")                                                      \
	X(F5_EARLY, "pages are put in place before the entry is durable")                          \
	X(F5_SEQ, "an entry doesn't get the next sequence number")                                 \
	X(CLOSE_SYNC, "the log is declared empty before what it holds is in place")                \
	X(COALESCE, "a flush is answered by a commit that froze before it came")                   \
	X(THAW, "a commit that failed forgets its pages")                                          \
	X(POISON, "after a failed sync the next one may succeed")                                  \
	X(GATE, "freed space is punched while readers still hold it")                              \
	X(EVICT, "pages that aren't in place yet may be evicted")                                  \
	X(LOCK, "publishing a write takes no lock")                                                \
	X(CHILD_TRIM, "a discarded block of a child shows the parent again")                       \
	X(REPLAY_SYNC, "the log is declared empty before the replay is durable")                   \
	X(I2_SLOT, "a header is written over the one that counts")                                 \
	X(I2_SEQ, "a header doesn't get the next sequence number")                                 \
	X(I2_BOTH, "only one header learns of a change")                                           \
	X(I5_LAP, "the log wraps under one LogGuid")                                               \
	X(I7_THAW, "a commit that failed gives back space all the same")                           \
	X(F1_CANCEL, "the space of a write that failed counts as zero")                            \
	X(F1_WAIT, "a second writer doesn't wait until new space is zero")                         \
	X(F1_FULL, "a child's block that is written in part becomes present as a whole")           \
	X(F1_FAILED, "a write that failed gets its BAT entry")                                     \
	X(F2_OVERWRITE, "a flush without changes of the BAT doesn't sync")                         \
	X(F2_RACE, "a write that completes during a sync counts as synced")                        \
	X(F5_FORGET, "committed pages that could not be put in place are forgotten")               \
	X(COALESCE_ERROR, "who shares a commit that failed is told that it worked")                \
	X(CACHE_STALE, "a page read before a commit replaces what the commit wrote")               \
	X(ANNOUNCE, "the first change of a guest isn't announced")                                 \
	X(REPLAY_FILE_ID, "a replay begins without a new FileWriteGuid")                           \
	X(REPLAY_DATA_ID, "a replay changes the DataWriteGuid")                                    \
	X(REPLAY_EXTEND, "a replay doesn't make the file as long as the log asks")                 \
	X(REPLAY_EARLY, "the log is declared empty before it is replayed")                         \
	X(REGION_DIRECT, "unequal region tables are overwritten without the log")                  \
	X(REGION_ONE, "only one region table is brought into line")                                \
	X(F1_PARTIAL, "a write to a part of a child's block that is here in part makes it whole")  \
	X(PIN, "who reads a place isn't counted")                                                  \
	X(ITEM_EARLY, "the metadata table names an item whose content isn't written yet")          \
	X(ITEM_SYNC, "an item's content isn't synced before the entry that names it")              \
	X(ITEM_REUSE, "an item's space is written anew before the commit that frees it")           \
	X(ITEM_SESSION, "items are changed without a new FileWriteGuid")                           \
	X(ITEM_DATA_ID, "a change of items gives a new DataWriteGuid")                             \
	X(ITEM_UNDO, "a change of items that failed comes with the next commit")                   \
	X(REGION_EARLY, "the region tables name a place whose content isn't written yet")          \
	X(REGION_SYNC, "a region's new content isn't synced before the entry that names it")       \
	X(REGION_SPLIT, "the two region tables change in two entries")                             \
	X(REGION_CRC, "a region table gets no new checksum")                                       \
	X(REGION_CACHE, "pages of a region that has moved away stay in memory")                    \
	X(REGION_ZERO, "a new region keeps the bytes that were in its space")                      \
	X(REGION_LAP, "the old place of a region is reused while the log still writes there")      \
	X(M1_WATCH, "a write during the copy of its block isn't noticed")                          \
	X(M1_HOLD, "writers don't wait while their block changes its place")                       \
	X(M1_DRAIN, "a block changes its place under writes in flight")                            \
	X(M2_ZERO, "a block is moved to space that may hold old bytes")                            \
	X(M3_EARLY, "the old place of a moved block is given back before the commit")              \
	X(M2_BITMAP, "a bitmap block moves without bits that were set meanwhile")                  \
	X(M3_BITMAP, "the old place of a bitmap block is reused while the log still writes there") \
	X(DROP_LOOK, "a block is let go although it was written to since the look at it")          \
	X(PUNCH_LOOK, "zeros are punched although they were written to since the look at them")    \
	X(T1_SYNC, "the file is cut before what the log holds is in place")                        \
	X(T2_LAP, "the file is cut while the log asks for its old length")                         \
	X(H1_LOG, "no space of the host is reserved for the log")                                  \
	X(H2_PAGE, "a page of the BAT is changed that has no space on the host")                   \
	X(H3_START, "a log that the host has no more space for isn't begun anew")

#define VD_SABOTAGE_ENUM(name, what) VD_SABOTAGE_##name,
enum vd_sabotage { VD_SABOTAGE_NONE = 0, VD_SABOTAGE_STEPS(VD_SABOTAGE_ENUM) VD_SABOTAGE_N };

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
	VD_SABOTAGE_DECODE_LOG_DESCS,    /* log: that an entry has a sector for each descriptor */
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
#define VD_SABOTAGED(step) (__builtin_expect(vd_sabotage == VD_SABOTAGE_##step, 0) != 0)
#else
#define VD_SABOTAGED(step) 0
#endif

#endif
