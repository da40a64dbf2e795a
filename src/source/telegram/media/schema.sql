create table meta (
    name  text primary key,
    value text not null
) strict, without rowid;

-- One row for each file of Telegram that a message of the log carries.
create table files (
    class       text not null,              -- photo, document
    file_id     integer not null,           -- media.id of the message
    kind        text not null,              -- media.kind of the message
    state       text not null,              -- waiting, stored, too_large, no_room, unwanted, failed
    reason      text,                       -- why the last try failed
    size        integer,                    -- bytes, as told
    mime_type   text,
    file_name   text,
    sha256      text,                       -- where it is stored
    bytes       integer,                    -- as stored
    attempts    integer not null default 0,
    due_us      integer not null default 0, -- not before
    seq         integer not null,           -- the newest event that tells of it
    dc          integer,                    -- where to get it: all null when the message has to be asked
    access_hash integer,
    reference   blob,
    thumb       text,
    primary key (class, file_id)
) strict;

create index files_by_state on files (state, seq);

-- The messages that carry a file.
create table places (
    class      text not null,
    file_id    integer not null,
    peer       integer not null,            -- as in the stores
    message_id integer not null,
    seq        integer not null,
    primary key (class, file_id, peer, message_id)
) strict, without rowid;
