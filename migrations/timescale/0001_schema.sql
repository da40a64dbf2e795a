-- Everything of telegram-gateway lives in the schemas "telegram" and "telegram_g<n>", so it can share a database.
-- Readers use the views in "telegram"; their columns are the public contract. The rows are in one schema for each
-- generation of the projection, so that a rebuild is loaded beside the live one and shown in one transaction.
-- Only what the Apache edition of TimescaleDB has is used here.

create table telegram.generations (
    generation integer primary key check (generation > 0),
    -- the one that the views in "telegram" show, and the live projection feeds
    shown      boolean not null default false
);
create unique index generations_one_shown on telegram.generations (shown) where shown;

create table telegram.checkpoints (
    projection text not null,
    generation integer not null references telegram.generations,
    log_id     text not null,
    epoch      bigint not null,
    seq        bigint not null,
    updated_at timestamptz not null,
    primary key (projection, generation)
);

create table telegram.quarantine (
    projection  text not null,
    generation  integer not null references telegram.generations,
    seq         bigint not null,
    kind        smallint not null,
    received_at timestamptz not null,
    reason      text not null,
    raw         bytea not null,
    primary key (projection, generation, seq)
);

-- Makes the tables and views of generation n. The one place that knows their shape.
create function telegram.create_generation(n integer, chunk interval) returns void
language plpgsql set search_path = pg_catalog as $function$
declare
    g text := 'telegram_g' || n;
    -- the extension may have been installed into any schema
    ext text := (select s.nspname from pg_extension e join pg_namespace s on s.oid = e.extnamespace
                 where e.extname = 'timescaledb');
begin
    if ext is null then
        raise exception 'extension timescaledb is not installed in this database' using errcode = 'undefined_object';
    end if;
    insert into telegram.generations (generation) values (n);
    execute format('create schema %I', g);

    -- What came with a post or an edit. Wide values last, fixed ones first: no padding.
    execute format($ddl$
        create table %1$I.message_content (
            peer_id             bigint not null,
            message_id          bigint not null,
            posted_at           timestamptz not null,
            rank                bigint not null,
            seq                 bigint not null,
            first_seq           bigint not null,
            received_at         timestamptz not null,
            edited_at           timestamptz,
            sender_id           bigint,
            reply_to_message_id bigint,
            reply_to_peer_id    bigint,
            topic_id            bigint,
            grouped_id          bigint,
            views               bigint,
            forwards            bigint,
            versioned           boolean not null,
            pinned              boolean not null,
            kind                text not null,
            origin              text not null,
            media_kind          text,
            text                text not null,
            sender_name         text,
            post_author         text,
            via_bot             text,
            entities            jsonb,
            forward             jsonb,
            media               jsonb,
            reactions           jsonb,
            poll                jsonb,
            buttons             jsonb,
            service             jsonb,
            changed             jsonb,
            primary key (peer_id, message_id, posted_at)
        )$ddl$, g);
    execute format('select %1$I.create_hypertable(%2$L::regclass, %1$I.by_range(%3$L, %4$L::interval), '
                   'create_default_indexes => false)', ext, g || '.message_content', 'posted_at', chunk);
    execute format('create index message_content_peer on %I.message_content (peer_id, posted_at desc, message_id desc)', g);
    execute format('create index message_content_newest on %I.message_content (posted_at desc)', g);

    -- What comes alone and without a date, each part with the number that wrote it. Not a hypertable: a deletion
    -- does not know when its message was posted. Room on the pages lets counters change without touching the index.
    execute format($ddl$
        create table %1$I.message_state (
            peer_id       bigint not null,
            message_id    bigint not null,
            deleted_at    timestamptz,
            deleted_seq   bigint,
            pinned_seq    bigint,
            views         bigint,
            views_seq     bigint,
            forwards      bigint,
            forwards_seq  bigint,
            reactions_seq bigint,
            poll_seq      bigint,
            pinned        boolean,
            reactions     jsonb,
            poll          jsonb,
            primary key (peer_id, message_id)
        ) with (fillfactor = 80)$ddl$, g);

    -- Versions that are no longer (or never were) the content: the newest one is read from message_content, so an
    -- ordinary post is written once. Plain, because few messages are edited and each read knows its key.
    execute format($ddl$
        create table %1$I.message_version (
            peer_id    bigint not null,
            message_id bigint not null,
            posted_at  timestamptz not null,
            seq        bigint not null,
            edited_at  timestamptz,
            text       text not null,
            entities   jsonb,
            media      jsonb,
            changed    jsonb,
            primary key (peer_id, message_id, posted_at, seq)
        )$ddl$, g);

    execute format($ddl$
        create table %1$I.channel_name (
            peer_id       bigint not null,
            seq           bigint not null,
            kind          text not null,
            title         text,
            username      text,
            migrated_from bigint,
            seen_at       timestamptz not null,
            primary key (peer_id, seq)
        )$ddl$, g);

    execute format($ddl$
        create table %1$I.gap (
            seq              bigint primary key,
            peer_id          bigint,
            cause            text not null,
            after_pts        bigint,
            until_pts        bigint,
            after_message_id bigint,
            until_message_id bigint,
            noticed_at       timestamptz not null
        )$ddl$, g);

    -- State wins over content when it is newer than it; a value that the content does not tell is taken from the state.
    execute format($ddl$
        create view %1$I.messages as
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
               (select count(*) from %1$I.message_version v
                where v.peer_id = c.peer_id and v.message_id = c.message_id and v.posted_at = c.posted_at)
                   + c.versioned::integer as version,
               c.first_seq,
               greatest(c.seq, s.deleted_seq, s.pinned_seq, s.views_seq, s.forwards_seq, s.reactions_seq, s.poll_seq) as seq
        from %1$I.message_content c
        left join %1$I.message_state s on s.peer_id = c.peer_id and s.message_id = c.message_id$ddl$, g);

    execute format($ddl$
        create view %1$I.message_versions as
        select v.peer_id, v.message_id,
               row_number() over (partition by v.peer_id, v.message_id, v.posted_at order by v.seq) as version,
               v.seq, v.edited_at, v.text, v.entities, v.media, v.changed
        from (
            select peer_id, message_id, posted_at, seq, edited_at, text, entities, media, changed
            from %1$I.message_version
            union all
            select peer_id, message_id, posted_at, seq, edited_at, text, entities, media, changed
            from %1$I.message_content where versioned
        ) v$ddl$, g);

    execute format($ddl$
        create view %1$I.channels as
        select n.peer_id,
               (array_agg(n.kind order by n.seq desc))[1] as kind,
               (array_agg(n.title order by n.seq desc) filter (where n.title is not null))[1] as title,
               (array_agg(n.username order by n.seq desc) filter (where n.username is not null))[1] as username,
               (array_agg(n.seen_at order by n.seq))[1] as first_seen_at,
               (array_agg(n.seen_at order by n.seq desc))[1] as updated_at,
               max(n.seq) as seq
        from %1$I.channel_name n
        group by n.peer_id$ddl$, g);

    execute format($ddl$
        create view %1$I.channel_names as
        select peer_id, seq, kind, title, username, migrated_from, seen_at from %1$I.channel_name$ddl$, g);

    execute format($ddl$
        create view %1$I.gaps as
        select seq, peer_id, cause, after_pts, until_pts, after_message_id, until_message_id, noticed_at
        from %1$I.gap$ddl$, g);
end
$function$;

-- Points the public views at generation n. The one shown before stays as it is, for a way back.
create function telegram.show_generation(n integer) returns void
language plpgsql set search_path = pg_catalog as $function$
declare
    g text := 'telegram_g' || n;
    name text;
begin
    if not exists (select from telegram.generations where generation = n) then
        raise exception 'there is no generation %', n using errcode = 'undefined_object';
    end if;
    update telegram.generations set shown = false where shown;
    update telegram.generations set shown = true where generation = n;
    foreach name in array array['messages', 'message_versions', 'channels', 'channel_names', 'gaps'] loop
        execute format('create or replace view telegram.%1$I as select * from %2$I.%1$I', name, g);
    end loop;
end
$function$;

create function telegram.drop_generation(n integer) returns void
language plpgsql set search_path = pg_catalog as $function$
begin
    if exists (select from telegram.generations where generation = n and shown) then
        raise exception 'generation % is the one shown', n using errcode = 'object_in_use';
    end if;
    execute format('drop schema if exists %I cascade', 'telegram_g' || n);
    delete from telegram.checkpoints where generation = n;
    delete from telegram.quarantine where generation = n;
    delete from telegram.generations where generation = n;
end
$function$;
