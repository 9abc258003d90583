/*
 * The safe horizon of readers that tail the log (docs/decisions/0002).
 *
 * Writers lock the events table, draw positions from a sequence, and commit or roll back in any order. The readers
 * of one process share one horizon, as SafeHorizon in postgres/log/horizon.py keeps it, and read pages up to it, as
 * LogRecorder does. The server may crash: open transactions and connections are gone, and the sequence falls back
 * to any value that no committed event has passed.
 *
 * Searched for: an event that appears at or below the position up to which a reader has read, and an event that a
 * reader has not read in the end.
 *
 * Faults, each by its own macro, that the search must find:
 *   NO_WAIT              the horizon does not wait for the writers that hold the lock
 *   LOCKS_FIRST          the locks are listed before the sequence is read
 *   DRAW_FIRST           a writer draws its first position before it takes the lock
 *   SNAPSHOT_FIRST       a page is read with a snapshot that is older than the horizon
 *   CACHED_SEQUENCE      a session draws two positions at once and keeps the second one for its next transaction
 *   OLD_HORIZON          a reader trusts a horizon that was found before its connection was opened
 *   EMPTY_POSITIONS      a reader remembers the horizon, and not the position of the last event that it has read
 */

#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef TRANSACTIONS
#define TRANSACTIONS 2 /* of each writer */
#endif
#ifndef DRAWS
#define DRAWS 2 /* positions of one transaction, at most */
#endif
#ifndef READERS
#define READERS 2
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef DEAD
#define DEAD 0 /* positions that were drawn and given up before */
#endif

#define BIT(n) (1 << (n))
#define UP_TO(n) ((1 << ((n) + 1)) - 1) /* the bits of all positions up to n; positions begin at 1 */
#define HAS(set, n) ((set) & BIT(n))

byte drawn = DEAD;    /* the last value of the sequence */
short committed;      /* positions of committed events: visible, and on the disk */
byte holders;         /* writers whose transaction holds ROW EXCLUSIVE on the events table */
byte open;            /* writers whose transaction is open; a crash ends all of them */
byte ended;           /* the number of writers that have ended */
byte connected;       /* readers whose connection is open */
byte cursor[READERS]; /* the position up to which each reader has read */

/* The horizon that the readers share; its times are kept as the sets of connections that were older. */
bool is_free = true;  /* the lock around it */
bool is_known;
byte horizon;
byte older;           /* connections opened before `as_of` */
bool is_pending;
byte bound;           /* the horizon, once the awaited writers have ended */
byte awaited;
byte older_pending;   /* connections opened before the pending look began */
byte older_look;      /* connections opened before the current look began */

inline begin() {
  open = open | BIT(me)
}

inline lock() {
  holders = holders | BIT(me)
}

inline draw() {
#ifdef CACHED_SEQUENCE
  if
  :: kept -> position = kept; kept = 0
  :: else -> drawn = drawn + 2; position = drawn - 1; kept = drawn
  fi;
#else
  drawn++;
  position = drawn;
#endif
  mine = mine | BIT(position);
  position = 0
}

/* The end of a transaction releases its lock; a later transaction of the same writer is another one. */
inline end_transaction() {
  holders = holders & ~BIT(me);
  awaited = awaited & ~BIT(me);
  open = open & ~BIT(me)
}

#define LOST (!HAS(open, me))

proctype writer(byte me) {
  byte transaction, draws, position, reader;
  short mine;
#ifdef CACHED_SEQUENCE
  byte kept;
#endif

  do
  :: transaction < TRANSACTIONS ->
     atomic { transaction++; begin() }
#ifdef DRAW_FIRST
     if
     :: atomic { !LOST -> draw() }
     :: LOST
     fi;
#endif
     if
     :: atomic { !LOST -> lock() }
     :: LOST
     fi;
     do
     :: atomic { !LOST && draws < DRAWS -> draw(); draws++ }
     :: atomic { !LOST && draws ->
          /* visible first, unlocked later */
          reader = 0;
          do
          :: reader < READERS -> assert(!(mine & UP_TO(cursor[reader]))); reader++
          :: else -> break
          od;
          committed = committed | mine;
          break
        }
     :: atomic { !LOST -> break } /* rolls back */
     :: atomic { LOST -> break }
     od;
     atomic {
       if
       :: !LOST -> end_transaction()
       :: LOST
       fi;
       reader = 0; mine = 0; draws = 0
     }
  :: atomic { transaction == TRANSACTIONS -> ended++; break }
  od
}

/* One call of SafeHorizon.advance: two statements, each of which fails on a connection that is gone. */
inline advance() {
  atomic { is_free -> is_free = false; older_look = connected }
  if
  :: atomic { HAS(connected, me) ->
#ifdef LOCKS_FIRST
       writers = holders
#else
       last_drawn = drawn
#endif
     }
  :: atomic { !HAS(connected, me) -> is_free = true; goto reconnect }
  fi;
  if
  :: atomic { HAS(connected, me) ->
#ifdef LOCKS_FIRST
       last_drawn = drawn;
#else
       writers = holders;
#endif
#ifdef NO_WAIT
       writers = 0;
#endif
       if
       :: !writers ->
          is_pending = false; bound = 0; awaited = 0; older_pending = 0;
          is_known = true; horizon = last_drawn; older = older_look
       :: writers && is_pending && (awaited & writers) -> awaited = awaited & writers
       :: writers && !(is_pending && (awaited & writers)) ->
          if
          :: is_pending -> is_known = true; horizon = bound; older = older_pending
          :: else
          fi;
          is_pending = true; bound = last_drawn; awaited = writers; older_pending = older_look
       fi;
       older_look = 0; last_drawn = 0; writers = 0;
       position = horizon;
#ifdef OLD_HORIZON
       is_valid = is_known;
#else
       is_valid = is_known && HAS(older, me);
#endif
       is_free = true
     }
  :: atomic { !HAS(connected, me) -> is_free = true; goto reconnect }
  fi
}

#define HAS_ENDED (ended == WRITERS && !(committed & ~UP_TO(cursor[me])))

proctype reader(byte me) {
  byte last_drawn, writers, position;
  bool is_valid;
  short snapshot, page, seen;

reconnect:
  atomic { /* the times of a new connection are later than those of all looks */
    connected = connected | BIT(me);
    older = older & ~BIT(me);
    older_pending = older_pending & ~BIT(me);
    older_look = older_look & ~BIT(me);
    last_drawn = 0; writers = 0; position = 0; is_valid = false
  }
  do
  :: atomic { HAS_ENDED -> assert(seen == committed); break }
  :: !HAS_ENDED ->
#ifdef SNAPSHOT_FIRST
     snapshot = committed;
#endif
     advance();
     if
     :: atomic { is_valid && HAS(connected, me) ->
#ifndef SNAPSHOT_FIRST
          snapshot = committed;
#endif
          page = snapshot & UP_TO(position) & ~UP_TO(cursor[me]);
          seen = seen | page;
#ifdef EMPTY_POSITIONS
          if
          :: position > cursor[me] -> cursor[me] = position
          :: else
          fi;
#else
          do
          :: page & ~UP_TO(cursor[me]) -> cursor[me]++
          :: else -> break
          od;
#endif
          snapshot = 0; page = 0; position = 0; is_valid = false
        }
     :: atomic { !is_valid && HAS(connected, me) -> position = 0 }
     :: atomic { !HAS(connected, me) -> goto reconnect }
     fi
  od
}

proctype server() {
  byte crashes;
  do
  :: crashes < CRASHES && ended < WRITERS ->
     atomic {
       crashes++;
       open = 0;
       holders = 0;
       awaited = 0;
       connected = 0;
       do
       :: drawn && !(committed & ~UP_TO(drawn - 1)) -> drawn--
       :: break
       od
     }
  :: break
  od
}

init {
  byte n;
  atomic {
    do
    :: n < WRITERS -> run writer(n); n++
    :: else -> break
    od;
    n = 0;
    do
    :: n < READERS -> run reader(n); n++
    :: else -> break
    od;
    run server()
  }
}
