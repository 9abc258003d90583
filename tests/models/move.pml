/*
 * The move of a slice between two servers, by the fence. The model stood here first; `postgres/shards/move_steps.py` has its
 * conditions, and `moving.py` and `handover.py` its steps. There the staging table is a transaction on the target that is open up to the take, and
 * the row of `arriving_slices` is its label: of a killed mover nothing but the label is left. So a mover that finds the slice fenced
 * always goes by way of `close`, and does not wait for writers. A service that ends the move of a killed mover does the same: it is one
 * more mover here.
 *
 * Each shard has a row of the slice: who owns it, under which epoch, and what is staged. Writers take the address of
 * the slice from a directory that may be stale, down or wrong: the model lets it answer anything. They look at the
 * shard's own row before they commit. Any number of movers work at the same time; each may be killed at any step,
 * stand still for as long as it likes, change its mind, and start again from what the shards have stored. A server
 * may end any open transaction: a writer's by rolling it back, a mover's by killing the mover.
 *
 * The steps of a move from FROM to TO, with e the epoch under which FROM owns the slice:
 *   stage   TO:   a staging table labelled e, unless a label as high has been closed there
 *   copy    TO:   rows are copied to the staging table while writers go on
 *   fence   FROM: if it still owns the slice under e: no owner, epoch e + 1; then wait for the older writers to end
 *   rest    FROM: read the rows that came since the copy
 *   take    TO:   if the staging table is still labelled e: all rows, ownership, epoch e + 2; close the label, as one
 *   leave   FROM: if it is still fenced under e + 1, and TO has taken the slice: delete the rows
 * Undo, at any time before `take`:
 *   close   TO:   remove the staging table, and close the label e, so that no mover can take the slice by it
 *   reopen  FROM: if it is still fenced under e + 1, or still owns the slice under e: it owns it under e + 2
 *
 * A report reads the slice's count and epoch of each shard, one after the other. Of two counts it takes that with the
 * higher epoch; without any count it names the slice as missing.
 *
 * Searched for: a commit on a shard that has not all acknowledged events of the slice (lost, doubled or misplaced
 * events, two owners), and a report that is wrong and does not say that the slice is missing.
 *
 * Faults, each by its own macro, that the search must find:
 *   NO_WAIT            the fence does not wait
 *   RESUME_AT_ONCE     a mover that finds the slice fenced does not wait again
 *   LOOK_FIRST         a writer looks at the shard's row before it has the lock
 *   REST_FIRST         the rest is read before the fence
 *   TAKE_UNCHECKED     TO takes the slice without a look at its staging table
 *   REOPENED_FIRST     undo opens FROM again before it has closed the label on TO
 *   CURRENT_EPOCH      a mover holds the slice for taken only while TO has the very epoch of that take
 *   LEFT_EARLY         FROM deletes its rows once they are copied
 *   ADDED_BLINDLY      a report adds up whatever it gets
 */

#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef EVENTS
#define EVENTS 2 /* acknowledged, at most */
#endif
#ifndef MOVERS
#define MOVERS 2
#endif
#ifndef LAST_EPOCH
#define LAST_EPOCH 3 /* a move or its undo adds 2; the first epoch is 1 */
#endif
#ifndef REPORTS
#define REPORTS 1
#endif

#define BIT(n) (1 << (n))

typedef Shard {
  bool owns;
  bool is_fenced;
  byte epoch;   /* of this shard's row */
  byte rows;    /* committed events of the slice */
  byte staged;  /* the label of the staging table; 0 without one */
  byte closed;  /* the highest label that no mover may use any more */
  byte holders  /* writers that hold the lock of the events table */
};

Shard shards[2];
byte acknowledged;
byte awaited[MOVERS];

#define HERE shards[place]

proctype writer(byte me) {
  byte place, known, version, mover;

  do
  :: acknowledged < EVENTS ->
     if
     :: place = 0
     :: place = 1
     fi;
     if
     :: atomic { HERE.owns -> known = HERE.epoch }
     :: atomic { !HERE.owns -> goto over }
     fi;
     version = HERE.rows; /* loads the stream: its next event has the version behind */
#ifdef LOOK_FIRST
     if
     :: HERE.owns && HERE.epoch == known
     :: atomic { !(HERE.owns && HERE.epoch == known) -> goto over }
     fi;
#endif
     HERE.holders = HERE.holders | BIT(me);
#ifndef LOOK_FIRST
     if
     :: HERE.owns && HERE.epoch == known
     :: atomic { !(HERE.owns && HERE.epoch == known) -> goto unlock }
     fi;
#endif
     if
     :: atomic { HERE.rows == version && acknowledged < EVENTS ->
          assert(HERE.rows == acknowledged);
          HERE.rows++;
          acknowledged++
        }
     :: skip /* rolls back: the version is taken, or the connection is lost */
     fi;
unlock:
     atomic {
       HERE.holders = HERE.holders & ~BIT(me);
       mover = 0;
       do
       :: mover < MOVERS -> awaited[mover] = awaited[mover] & ~BIT(me); mover++
       :: else -> break
       od
     }
over:
     atomic { place = 0; known = 0; version = 0; mover = 0 }
  :: atomic { acknowledged == EVENTS -> break }
  od
}

#define FROM shards[from]
#define TO shards[1 - from]
/* Epochs only grow. TO may have been fenced since, for a move back: then its epoch is higher than that of the take. */
#ifdef CURRENT_EPOCH
#define IS_TAKEN (TO.epoch == label + 2)
#else
#define IS_TAKEN (TO.epoch >= label + 2)
#endif
#define MAY_BE_KILLED :: atomic { true -> goto killed }

proctype mover(byte me) {
  byte from, label, rest;

killed:
  atomic { from = 0; label = 0; rest = 0; awaited[me] = 0 }
  if
  :: true -> goto ended
  :: atomic { shards[0].owns && shards[0].epoch + 2 <= LAST_EPOCH -> from = 0; label = FROM.epoch }
  :: atomic { shards[1].owns && shards[1].epoch + 2 <= LAST_EPOCH -> from = 1; label = FROM.epoch }
  :: atomic { shards[0].is_fenced -> from = 0; label = FROM.epoch - 1; goto fenced }
  :: atomic { shards[1].is_fenced -> from = 1; label = FROM.epoch - 1; goto fenced }
  :: atomic { shards[0].is_fenced -> from = 0; label = FROM.epoch - 1; goto close } /* need not wait: it takes nothing */
  :: atomic { shards[1].is_fenced -> from = 1; label = FROM.epoch - 1; goto close }
  fi;

  /* stage; a label that is closed means that another mover has begun to undo the move */
  if
  :: atomic { label > TO.closed && label >= TO.staged -> TO.staged = label }
  :: atomic { label <= TO.closed -> goto reopen }
  MAY_BE_KILLED
  fi;

  /* The copy changes nothing that the model has: `take` reads all rows, as copy and rest have them together. */
#ifdef REST_FIRST
  rest = FROM.rows;
#endif

  if
  :: atomic { FROM.owns && FROM.epoch == label -> FROM.owns = false; FROM.is_fenced = true; FROM.epoch = label + 1 }
  :: atomic { FROM.is_fenced && FROM.epoch == label + 1 -> skip } /* by another mover */
  :: atomic { FROM.epoch != label && !(FROM.is_fenced && FROM.epoch == label + 1) -> goto killed }
  :: atomic { FROM.epoch == label -> goto close }                 /* undoes the move */
  MAY_BE_KILLED
  fi;
#ifdef RESUME_AT_ONCE
  awaited[me] = FROM.holders;
  awaited[me] == 0;
#endif

fenced:
#if !defined(NO_WAIT) && !defined(RESUME_AT_ONCE)
  awaited[me] = FROM.holders;
  if
  :: awaited[me] == 0
  MAY_BE_KILLED
  fi;
#endif

  if
#ifdef LEFT_EARLY
  :: atomic { FROM.is_fenced && FROM.epoch == label + 1 -> FROM.rows = 0 }
#endif
#ifndef REST_FIRST
  :: rest = FROM.rows
#else
  :: skip
#endif
  :: goto close
  MAY_BE_KILLED
  fi;

  /* take */
  if
#ifdef TAKE_UNCHECKED
  :: atomic { true ->
#else
  :: atomic { TO.staged == label ->
#endif
       TO.rows = rest; TO.owns = true; TO.is_fenced = false; TO.epoch = label + 2; TO.staged = 0; TO.closed = label
     }
#ifndef TAKE_UNCHECKED
  :: atomic { TO.staged != label -> skip } /* another mover has taken or undone it */
#endif
  MAY_BE_KILLED
  fi;

  if
  :: IS_TAKEN -> goto leave
  :: else -> goto reopen
  fi;

close:
#ifdef REOPENED_FIRST
  atomic {
    if
    :: FROM.is_fenced && FROM.epoch == label + 1 -> FROM.is_fenced = false; FROM.owns = true; FROM.epoch = label + 2
    :: else
    fi
  }
#endif
  if
  :: atomic { TO.closed < label -> TO.closed = label; TO.staged = 0 }
  :: atomic { TO.closed >= label -> skip }
  MAY_BE_KILLED
  fi;

reopen:
  /* The label is closed: by an undo, or by a take. Of the two, the row of TO says which. */
  if
  :: IS_TAKEN -> goto leave
  :: !IS_TAKEN
  MAY_BE_KILLED
  fi;
  atomic {
    if
    :: (FROM.is_fenced && FROM.epoch == label + 1) || (FROM.owns && FROM.epoch == label) ->
       FROM.is_fenced = false; FROM.owns = true; FROM.epoch = label + 2
    :: else
    fi
  }
  goto killed;

leave:
  atomic {
    if
    :: FROM.is_fenced && FROM.epoch == label + 1 -> FROM.is_fenced = false; FROM.rows = 0
    :: else
    fi
  }
  goto killed;

ended:
  skip
}

/* A report of this slice alone; it reads the two shards in either order. */
proctype report() {
  byte reports, first, least, counted, epoch;
  bool is_missing;

  do
  :: reports < REPORTS ->
     atomic { reports++; is_missing = true; least = acknowledged }
     if
     :: first = 0
     :: first = 1
     fi;
     atomic {
       if
       :: shards[first].owns -> is_missing = false; counted = shards[first].rows; epoch = shards[first].epoch
       :: else
       fi
     }
     atomic {
       if
#ifdef ADDED_BLINDLY
       :: shards[1 - first].owns -> is_missing = false; counted = counted + shards[1 - first].rows
#else
       :: shards[1 - first].owns && shards[1 - first].epoch > epoch ->
          is_missing = false; counted = shards[1 - first].rows
#endif
       :: else
       fi;
       assert(is_missing || (counted >= least && counted <= acknowledged));
       counted = 0; epoch = 0; first = 0; least = 0; is_missing = false
     }
  :: break
  od
}

init {
  byte n;
  atomic {
    shards[0].owns = true;
    shards[0].epoch = 1;
    do
    :: n < WRITERS -> run writer(n); n++
    :: else -> break
    od;
    n = 0;
    do
    :: n < MOVERS -> run mover(n); n++
    :: else -> break
    od;
    run report()
  }
}
