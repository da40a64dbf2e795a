-- The same names and the same logic as behind the views of TimescaleDB's schema "telegram". Readers use the views
-- messages, message_versions, channels, channel_names and gaps, the tables quarantine and checkpoints, and the full
-- text index messages_fts. Instants are text in one fixed width, so that their order is the order of time.

create table message_content (
    id                  integer primary key, -- what messages_fts points at
    peer_id             integer not null,
    message_id          integer not null,
    posted_at           text not null,
    rank                integer not null,
    seq                 integer not null,
    first_seq           integer not null,
    received_at         text not null,
    edited_at           text,
    sender_id           integer,
    reply_to_message_id integer,
    reply_to_peer_id    integer,
    topic_id            integer,
    grouped_id          integer,
    views               integer,
    forwards            integer,
    versioned           integer not null,
    pinned              integer not null,
    kind                text not null,
    origin              text not null,
    media_kind          text,
    text                text not null,
    sender_name         text,
    post_author         text,
    via_bot             text,
    entities            text,
    forward             text,
    media               text,
    reactions           text,
    poll                text,
    buttons             text,
    service             text,
    changed             text,
    unique (peer_id, message_id, posted_at)
) strict;
create index message_content_peer on message_content (peer_id, posted_at);
create index message_content_newest on message_content (posted_at);

create table message_state (
    peer_id       integer not null,
    message_id    integer not null,
    deleted_at    text,
    deleted_seq   integer,
    pinned        integer,
    pinned_seq    integer,
    views         integer,
    views_seq     integer,
    forwards      integer,
    forwards_seq  integer,
    reactions     text,
    reactions_seq integer,
    poll          text,
    poll_seq      integer,
    primary key (peer_id, message_id)
) strict, without rowid;

create table message_version (
    peer_id    integer not null,
    message_id integer not null,
    posted_at  text not null,
    seq        integer not null,
    edited_at  text,
    text       text not null,
    entities   text,
    media      text,
    changed    text,
    unique (peer_id, message_id, posted_at, seq)
) strict;

create table channel_name (
    peer_id       integer not null,
    seq           integer not null,
    kind          text not null,
    title         text,
    username      text,
    migrated_from integer,
    seen_at       text not null,
    primary key (peer_id, seq)
) strict, without rowid;

create table gap (
    seq              integer primary key,
    peer_id          integer,
    cause            text not null,
    after_pts        integer,
    until_pts        integer,
    after_message_id integer,
    until_message_id integer,
    noticed_at       text not null
) strict;

create table checkpoints (
    projection text not null,
    generation integer not null,
    log_id     text not null,
    epoch      integer not null,
    seq        integer not null,
    updated_at text not null,
    primary key (projection, generation)
) strict, without rowid;

create table quarantine (
    projection  text not null,
    generation  integer not null,
    seq         integer not null,
    kind        integer not null,
    received_at text not null,
    reason      text not null,
    raw         blob not null,
    unique (projection, generation, seq)
) strict;

-- External content: the text is stored once. The triggers keep the index right in the transaction of the rows, and
-- follow the table rather than the events, so the order of the events does not matter to them.
create virtual table messages_fts using fts5(
    text, peer_id unindexed, message_id unindexed,
    content = 'message_content', content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 2'
);
create trigger message_content_added after insert on message_content begin
    insert into messages_fts (rowid, text, peer_id, message_id)
    values (new.id, new.text, new.peer_id, new.message_id);
end;
create trigger message_content_changed after update of text on message_content when old.text is not new.text begin
    insert into messages_fts (messages_fts, rowid, text, peer_id, message_id)
    values ('delete', old.id, old.text, old.peer_id, old.message_id);
    insert into messages_fts (rowid, text, peer_id, message_id)
    values (new.id, new.text, new.peer_id, new.message_id);
end;

create view messages as
select c.peer_id, c.message_id, c.kind, c.posted_at, c.edited_at, s.deleted_at, c.received_at, c.origin,
       c.sender_id, c.sender_name, c.post_author, c.text, c.entities, c.reply_to_message_id,
       c.reply_to_peer_id, c.topic_id, c.grouped_id, c.forward, c.via_bot, c.media_kind, c.media,
       case when s.views_seq > c.rank then s.views else coalesce(c.views, s.views) end as views,
       case when s.forwards_seq > c.rank then s.forwards else coalesce(c.forwards, s.forwards) end as forwards,
       case when s.reactions_seq > c.rank then s.reactions else coalesce(c.reactions, s.reactions) end as reactions,
       case when s.poll_seq > c.rank then s.poll else coalesce(c.poll, s.poll) end as poll,
       c.buttons,
       case when s.pinned_seq > c.rank then s.pinned else c.pinned end as pinned,
       c.service,
       (select count(*) from message_version v
        where v.peer_id = c.peer_id and v.message_id = c.message_id and v.posted_at = c.posted_at)
           + c.versioned as version,
       c.first_seq,
       max(c.seq, coalesce(s.deleted_seq, 0), coalesce(s.pinned_seq, 0), coalesce(s.views_seq, 0),
           coalesce(s.forwards_seq, 0), coalesce(s.reactions_seq, 0), coalesce(s.poll_seq, 0)) as seq
from message_content c
left join message_state s on s.peer_id = c.peer_id and s.message_id = c.message_id;

create view message_versions as
select v.peer_id, v.message_id,
       row_number() over (partition by v.peer_id, v.message_id, v.posted_at order by v.seq) as version,
       v.seq, v.edited_at, v.text, v.entities, v.media, v.changed
from (
    select peer_id, message_id, posted_at, seq, edited_at, text, entities, media, changed from message_version
    union all
    select peer_id, message_id, posted_at, seq, edited_at, text, entities, media, changed
    from message_content where versioned
) v;

create view channels as
select n.peer_id, n.kind,
       (select t.title from channel_name t where t.peer_id = n.peer_id and t.title is not null
        order by t.seq desc limit 1) as title,
       (select u.username from channel_name u where u.peer_id = n.peer_id and u.username is not null
        order by u.seq desc limit 1) as username,
       (select f.seen_at from channel_name f where f.peer_id = n.peer_id order by f.seq limit 1) as first_seen_at,
       n.seen_at as updated_at,
       n.seq
from channel_name n
where n.seq = (select max(l.seq) from channel_name l where l.peer_id = n.peer_id);

create view channel_names as
select peer_id, seq, kind, title, username, migrated_from, seen_at from channel_name;

create view gaps as
select seq, peer_id, cause, after_pts, until_pts, after_message_id, until_message_id, noticed_at from gap;
