-- The sampled history of counters: one row for each message and interval, in which each counter is the last one told.
-- Kept while counter_sampling has its row, and then only of events behind after_seq.
create table counter_sampling (
    interval_us integer not null,
    after_seq   integer not null
) strict;

create table counter_sample (
    peer_id       integer not null,
    message_id    integer not null,
    interval_at   text not null,
    sampled_at    text not null,
    seq           integer not null,
    views         integer,
    views_seq     integer,
    forwards      integer,
    forwards_seq  integer,
    reactions     text,
    reactions_seq integer,
    poll          text,
    poll_seq      integer,
    primary key (peer_id, message_id, interval_at)
) strict, without rowid;

create view counter_samples as
select peer_id, message_id, interval_at, sampled_at, views, forwards, reactions, poll, seq from counter_sample;
