/*
 * The archive of cold streams: the design of docs/decisions/0066.
 *
 * One stream. A writer keeps what it has loaded in a cache until its epoch ends; a version that is taken is found by the
 * key of the events table alone, which knows nothing of archived versions. The archiver chooses the versions that are
 * committed, writes them into a file that is durable, raises the epoch, and then, in one transaction, locks the row of
 * the visitor, deletes the rows of these versions and notes the file. It may be killed at any step; another one begins
 * anew. An erasure destroys the key, and then blanks rows and noted files. A reader reads rows and noted files.
 *
 * Searched for: an acknowledged event that a reader does not get, a version that is committed twice, and a sealed part
 * that is left when the erasure is complete.
 *
 * Faults, each by its own macro, that the search must find:
 *   EPOCH_KEPT      the archiver does not raise the epoch
 *   EPOCH_FIRST     it raises the epoch before it chooses the versions
 *   LOOK_FIRST      a writer looks at the epoch before it copies
 *   ROWS_FIRST      the rows are deleted in a transaction of their own, before the file is noted
 *   FILE_LATE       the file is durable only behind the transaction
 *   OLD_FILE        an archiver that goes on deletes what is there now, and notes the file of the killed one
 *   READ_APART      a reader reads the noted files and the rows in two snapshots, in this order
 *   LOAD_ROWS       a writer loads rows alone
 *   VISITOR_FREE    the archiver does not lock the row of the visitor, nor looks if it is there
 *   BLANK_ROWS      an erasure blanks rows alone
 */

#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef APPENDS
#define APPENDS 2 /* tries of each writer; one that is refused counts */
#endif
#ifndef KILLS
#define KILLS 1 /* of the archiver */
#endif
#ifndef RUNS
#define RUNS 2 /* of the archiver */
#endif
#ifndef READERS
#define READERS 1
#endif

#define BIT(n) (1 << (n))
#define UP_TO(n) (BIT((n) + 1) - 1)

byte epoch = 1;
byte acknowledged;   /* versions, as bits, in all that follows */
byte rows;           /* committed, in the events table */
byte held;           /* copied, and not committed */
byte deleted;        /* by a transaction that is not committed: who copies the same key waits for its end */
byte noted;          /* in files that the store names */
byte row_sealed;     /* rows whose sealed part is not blanked */
byte noted_sealed;   /* the same of files */
bool key_exists = true;
bool is_row_locked;  /* of the visitor */
bool is_erased;      /* completely */

inline find_last(found, result) {
  result = 0;
  if
  :: found & BIT(4) -> result = 4
  :: else ->
     if
     :: found & BIT(3) -> result = 3
     :: else ->
        if
        :: found & BIT(2) -> result = 2
        :: else ->
           if
           :: found & BIT(1) -> result = 1
           :: else
           fi
        fi
     fi
  fi
}

proctype writer() {
  byte appends, known, last, version;
  bool has_cache;

  known = epoch;
  do
  :: appends < APPENDS ->
     if
     :: atomic { !has_cache && key_exists -> has_cache = true;
#ifdef LOAD_ROWS
          find_last(rows, last)
#else
          find_last((rows | noted), last)
#endif
        }
     :: has_cache /* of any age, but of this epoch */
     :: atomic { !has_cache && !key_exists -> break } /* a new life has other streams */
     fi;
     version = last + 1;
     if
     :: version > 4 -> break
     :: else
     fi;
#ifdef LOOK_FIRST
     if
     :: atomic { known != epoch -> known = epoch; has_cache = false; goto over }
     :: known == epoch
     fi;
#endif
     if
     :: atomic { !((held | deleted | rows) & BIT(version)) -> held = held | BIT(version) }
     :: atomic { (rows & BIT(version)) && !(deleted & BIT(version)) -> has_cache = false; goto over } /* taken */
     fi;
#ifndef LOOK_FIRST
     if
     :: atomic { known != epoch -> known = epoch; has_cache = false; held = held & ~BIT(version); goto over }
     :: known == epoch
     fi;
#endif
     if
     :: atomic {
          assert(!(acknowledged & BIT(version)));
          held = held & ~BIT(version);
          rows = rows | BIT(version);
          row_sealed = row_sealed | BIT(version);
          acknowledged = acknowledged | BIT(version);
          last = version
        }
     :: atomic { held = held & ~BIT(version); has_cache = false } /* rolls back */
     fi;
over:
     atomic { appends++; version = 0 }
  :: atomic { appends == APPENDS -> break }
  od
}

/* Between any two steps it may be killed: its transaction is rolled back, and a file that is not noted is nothing. */
proctype archiver() {
  byte runs, kills, chosen, file, file_sealed;
  bool is_old;

  do
  :: runs < RUNS ->
begin:
#ifdef EPOCH_FIRST
     epoch++;
#endif
     atomic { chosen = rows; file = rows; file_sealed = row_sealed };
     if
     :: atomic { chosen == 0 -> goto over }
     :: chosen != 0
     fi;
again:
#if !defined(EPOCH_KEPT) && !defined(EPOCH_FIRST)
     epoch++;
#endif
     if
     :: atomic { kills < KILLS -> kills++;
#ifdef OLD_FILE
          chosen = rows; goto again
#else
          goto begin
#endif
        }
     :: skip
     fi;
     if
#ifdef VISITOR_FREE
     :: atomic { true -> deleted = chosen }
#else
     :: atomic { key_exists -> is_row_locked = true; deleted = chosen }
     :: atomic { !key_exists -> goto over }
#endif
     fi;
#ifdef ROWS_FIRST
     atomic { rows = rows & ~deleted; row_sealed = row_sealed & ~deleted };
#endif
     if
     :: atomic { /* commits */
          rows = rows & ~chosen;
          row_sealed = row_sealed & ~chosen;
          noted = noted | file;
          noted_sealed = noted_sealed | file_sealed;
          deleted = 0;
          is_row_locked = false;
          assert(!is_erased || !file_sealed)
        }
     :: atomic { kills < KILLS -> kills++; deleted = 0; is_row_locked = false; goto begin }
     fi;
#ifdef FILE_LATE
     if
     :: atomic { kills < KILLS -> kills++; noted = noted & ~file } /* the machine goes down: the file is not there */
     :: skip
     fi;
#endif
over:
     atomic { runs++; chosen = 0; file = 0; file_sealed = 0 }
  :: atomic { runs == RUNS -> break }
  od
}

/* docs/decisions/0036; that no writer under the old key is left behind the wait is the matter of fence.pml. */
proctype erasure() {
  atomic { !is_row_locked -> key_exists = false; epoch++ };
  (held == 0);
  row_sealed = 0;
#ifndef BLANK_ROWS
  noted_sealed = 0;
#endif
  atomic { is_erased = true; assert(!noted_sealed) }
}

proctype reader() {
  byte before, seen;

  before = acknowledged;
#ifdef READ_APART
  seen = noted;
  seen = seen | rows;
#else
  seen = noted | rows;
#endif
  assert((seen & before) == before)
}

init {
  byte n;
  atomic {
    do
    :: n < WRITERS -> run writer(); n++
    :: else -> break
    od;
    n = 0;
    do
    :: n < READERS -> run reader(); n++
    :: else -> break
    od;
    run archiver();
    run erasure()
  }
}
