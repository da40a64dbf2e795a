-- Statistics by hour and day, cursors of consumers, what a person looks at when something is slow or quiet, and roles.

-- When the checkpoint was moved: the clock of the server, for the views below. Nothing of a projection depends on it.
alter table telegram.checkpoints add column moved_at timestamptz not null default now();

-- How far the programs that read messages have come, each by its own name.
create table telegram.consumers (
    name     text primary key check (name ~ '^[A-Za-z0-9._:-]{1,64}$'),
    seq      bigint not null check (seq >= 0),
    moved_at timestamptz not null default now()
);

-- Who may read, and who may write as well, without owning anything.
create table telegram.access (
    role   name primary key,
    writes boolean not null
);

-- What generations got after the second step.
create function telegram.add_statistics(n integer) returns void
language plpgsql set search_path = pg_catalog as $function$
declare
    g text := 'telegram_g' || n;
begin
    execute format('create index message_content_seq on %I.message_content (seq)', g);

    -- Counts of the hours that were counted; those that changed since are named in the second table and are counted when
    -- somebody looks. So the views below are right at any moment, and counting again never has to be in time.
    execute format($ddl$
        create table %1$I.message_hour (
            peer_id        bigint not null,
            hour           timestamptz not null,
            messages       bigint not null,
            edits          bigint not null,
            deleted        bigint not null,
            media          bigint not null,
            live           bigint not null,
            latency_micros numeric not null,
            latency_max    interval,
            primary key (peer_id, hour)
        )$ddl$, g);
    execute format($ddl$
        create table %1$I.message_hour_stale (
            peer_id bigint not null,
            hour    timestamptz not null,
            primary key (peer_id, hour)
        )$ddl$, g);

    -- Runs as its owner, so that a reader of the views needs no right on the tables.
    -- Edits are versions beyond the first. Latency is from Telegram's date, which has whole seconds, to the receipt.
    execute format($ddl$
        create function %1$I.count_hour(of_peer bigint, of_hour timestamptz) returns setof %1$I.message_hour
        language sql stable security definer set search_path = pg_catalog as $sql$
            select of_peer, of_hour, count(*), coalesce(sum(greatest(v.versions + c.versioned::integer - 1, 0)), 0)::bigint,
                   count(s.deleted_at), count(c.media_kind), count(*) filter (where c.origin = 'live'),
                   coalesce(sum(extract(epoch from c.received_at - c.posted_at) * 1000000)
                            filter (where c.origin = 'live'), 0),
                   max(c.received_at - c.posted_at) filter (where c.origin = 'live')
            from %1$I.message_content c
            left join %1$I.message_state s on s.peer_id = c.peer_id and s.message_id = c.message_id
            cross join lateral (
                select count(*) as versions from %1$I.message_version v
                where v.peer_id = c.peer_id and v.message_id = c.message_id and v.posted_at = c.posted_at
            ) v
            where c.peer_id = of_peer and c.posted_at >= of_hour and c.posted_at < of_hour + interval '1 hour'
            having count(*) > 0
        $sql$ $ddl$, g);

    execute format($ddl$
        create view %1$I.messages_hourly as
        select h.peer_id, h.hour, h.messages, h.edits, h.deleted, h.media, h.live,
               h.latency_micros / nullif(h.live, 0) * interval '1 microsecond' as latency_mean, h.latency_max
        from (
            select k.* from %1$I.message_hour k
            where not exists (
                select from %1$I.message_hour_stale s where s.peer_id = k.peer_id and s.hour = k.hour
            )
            union all
            select c.* from %1$I.message_hour_stale s cross join lateral %1$I.count_hour(s.peer_id, s.hour) c
        ) h$ddl$, g);
    execute format($ddl$
        create view %1$I.messages_daily as
        select h.peer_id, date_trunc('day', h.hour, 'UTC') as day, sum(h.messages)::bigint as messages,
               sum(h.edits)::bigint as edits, sum(h.deleted)::bigint as deleted, sum(h.media)::bigint as media,
               sum(h.live)::bigint as live, sum(h.latency_mean * h.live) / nullif(sum(h.live), 0) as latency_mean,
               max(h.latency_max) as latency_max
        from %1$I.messages_hourly h
        group by 1, 2$ddl$, g);

    -- In which order messages got their content: what unprocessed() goes by.
    execute format('create view %1$I.message_order as select peer_id, message_id, posted_at, seq from %1$I.message_content', g);

    execute format($ddl$
        create view %1$I.channel_health as
        select c.peer_id, c.kind, c.title, c.username, l.posted_at as last_posted_at, l.received_at as last_received_at,
               now() - l.posted_at as silent_for, d.messages as messages_last_day, d.deleted as deleted_last_day,
               d.latency_max as latency_max_last_day,
               (select count(*) from %1$I.gaps p where p.peer_id = c.peer_id and p.closed_at is null) as gaps_open
        from %1$I.channels c
        left join lateral (
            select m.posted_at, m.received_at from %1$I.message_content m
            where m.peer_id = c.peer_id order by m.posted_at desc, m.message_id desc limit 1
        ) l on true
        left join lateral (
            select sum(h.messages)::bigint as messages, sum(h.deleted)::bigint as deleted, max(h.latency_max) as latency_max
            from %1$I.messages_hourly h
            where h.peer_id = c.peer_id and h.hour > now() - interval '25 hours'
        ) d on true$ddl$, g);
end
$function$;

-- Counts all hours of generation n anew; nobody may write to it meanwhile.
create function telegram.count_hours(n integer) returns void
language plpgsql set search_path = pg_catalog as $function$
declare
    g text := 'telegram_g' || n;
begin
    execute format('truncate %1$I.message_hour, %1$I.message_hour_stale', g);
    execute format($sql$
        insert into %1$I.message_hour
        select c.* from (
            select distinct peer_id, date_trunc('hour', posted_at, 'UTC') as hour from %1$I.message_content
        ) k cross join lateral %1$I.count_hour(k.peer_id, k.hour) c$sql$, g);
end
$function$;

-- Counts some of the hours that changed, and are over; returns how many. No batch comes in between.
create function telegram.recount_hours(n integer, at_most integer) returns integer
language plpgsql set search_path = pg_catalog as $function$
declare
    g text := 'telegram_g' || n;
    counted integer;
begin
    perform pg_advisory_xact_lock(7628663, n);
    execute format($sql$
        with due as (
            delete from %1$I.message_hour_stale s using (
                select peer_id, hour from %1$I.message_hour_stale
                where hour < now() - interval '1 hour' order by hour limit $1
            ) d where s.peer_id = d.peer_id and s.hour = d.hour
            returning s.peer_id, s.hour
        ), gone as (
            delete from %1$I.message_hour h using due where h.peer_id = due.peer_id and h.hour = due.hour
            returning h.peer_id
        ), counted as (
            select c.* from due cross join lateral %1$I.count_hour(due.peer_id, due.hour) c
        ), written as (
            insert into %1$I.message_hour select * from counted
            on conflict (peer_id, hour) do update set
                messages = excluded.messages, edits = excluded.edits, deleted = excluded.deleted, media = excluded.media,
                live = excluded.live, latency_micros = excluded.latency_micros, latency_max = excluded.latency_max
        )
        select count(*) from due$sql$, g) into counted using at_most;
    return counted;
end
$function$;

alter function telegram.create_generation(integer, interval) rename to create_generation_3;

-- Makes the tables and views of generation n: those of the steps before, and what was added since.
create function telegram.create_generation(n integer, chunk interval) returns void
language plpgsql set search_path = pg_catalog as $function$
begin
    perform telegram.create_generation_3(n, chunk);
    perform telegram.add_statistics(n);
    perform telegram.grant_access();
end
$function$;

-- Moves the cursor of a consumer forward, never back; returns where it is then.
create function telegram.processed(consumer text, upto bigint) returns bigint
language sql set search_path = pg_catalog as $function$
    insert into telegram.consumers as c (name, seq) values (consumer, upto)
    on conflict (name) do update set seq = greatest(c.seq, excluded.seq), moved_at = excluded.moved_at
    returning seq
$function$;

-- Which numbers of the log a projection has, and how long its last event took from the receipt until it was there.
create view telegram.ingest as
select c.projection, c.generation, g.shown, c.seq, c.updated_at as received_at, c.moved_at as visible_at,
       c.moved_at - c.updated_at as latency, now() - c.moved_at as idle_for
from telegram.checkpoints c
join telegram.generations g on g.generation = c.generation;

-- How far each consumer is behind what readers see.
create view telegram.consumer_lag as
select k.name, k.seq, k.moved_at, coalesce(c.seq - k.seq, 0) as lag_events, now() - k.moved_at as quiet_for
from telegram.consumers k
left join telegram.generations g on g.shown
left join telegram.checkpoints c on c.projection = 'timescale' and c.generation = g.generation;

-- What each generation has on the disk, chunk by chunk.
create view telegram.storage as
select g.generation, g.shown, k.chunk_schema, k.chunk_name, k.range_start, k.range_end, k.is_compressed,
       pg_catalog.pg_total_relation_size(format('%I.%I', k.chunk_schema, k.chunk_name)::regclass) as bytes
from telegram.generations g
join timescaledb_information.chunks k on k.hypertable_schema = 'telegram_g' || g.generation;

-- The oldest messages whose content came after the cursor of a consumer, with the number to give to processed(). A
-- message that was edited comes again; deleted ones come with deleted_at set. Needs the views, so it is made with them.
create function telegram.add_functions() returns void
language plpgsql set search_path = pg_catalog as $function$
begin
    execute $ddl$
        create or replace function telegram.unprocessed(
            consumer text, at_most integer default 1000, of_peer bigint default null
        ) returns table (changed_seq bigint, message telegram.messages)
        language plpgsql stable set search_path = pg_catalog as $body$
        declare
            behind bigint := coalesce((select c.seq from telegram.consumers c where c.name = consumer), 0);
        begin
            return query
            select o.seq, m
            from (
                select p.peer_id, p.message_id, p.posted_at, p.seq from telegram.message_order p
                where p.seq > behind and (of_peer is null or p.peer_id = of_peer)
                order by p.seq limit at_most
            ) o
            join telegram.messages m
                on m.peer_id = o.peer_id and m.message_id = o.message_id and m.posted_at = o.posted_at
            order by o.seq;
        end
        $body$ $ddl$;
end
$function$;

-- Gives roles of the server what they need in all generations, and nothing beyond.
create function telegram.grant_access() returns void
language plpgsql set search_path = pg_catalog as $function$
declare
    given record;
    g integer;
    name text;
begin
    for given in select a.role, a.writes from telegram.access a join pg_roles r on r.rolname = a.role loop
        execute format('grant usage on schema telegram to %I', given.role);
        for name in select viewname from pg_views where schemaname = 'telegram' loop
            execute format('grant select on telegram.%I to %I', name, given.role);
        end loop;
        execute format('grant execute on function telegram.processed(text, bigint) to %I', given.role);
        execute format('grant select, insert, update on telegram.consumers to %I', given.role);
        if not given.writes then
            continue;
        end if;
        execute format('grant select on telegram.generations to %I', given.role);
        execute format('grant select, insert, update on telegram.checkpoints to %I', given.role);
        execute format('grant select, insert, update, delete on telegram.quarantine to %I', given.role);
        for g in select generation from telegram.generations loop
            execute format('grant usage on schema %I to %I', 'telegram_g' || g, given.role);
            execute format('grant select, insert, update on all tables in schema %I to %I', 'telegram_g' || g, given.role);
        end loop;
    end loop;
end
$function$;

-- Lets a role read what is public, or write batches as well. Run by the owner of the schema.
create function telegram.let(role name, writes boolean default false) returns void
language plpgsql set search_path = pg_catalog as $function$
begin
    if not exists (select from pg_roles r where r.rolname = let.role) then
        raise exception 'there is no role %', role using errcode = 'undefined_object';
    end if;
    insert into telegram.access as a values (role, writes)
    on conflict on constraint access_pkey do update set writes = excluded.writes;
    perform telegram.grant_access();
end
$function$;
revoke execute on function telegram.let(name, boolean), telegram.create_generation(integer, interval),
    telegram.show_generation(integer, boolean), telegram.drop_generation(integer), telegram.grant_access(),
    telegram.count_hours(integer), telegram.recount_hours(integer, integer), telegram.add_statistics(integer),
    telegram.add_counter_samples(integer), telegram.add_functions() from public;

alter function telegram.show_generation(integer, boolean) rename to show_generation_3;

-- Points the public views at generation n, and makes what stands on them.
create function telegram.show_generation(n integer, incomparable boolean default false) returns void
language plpgsql set search_path = pg_catalog as $function$
begin
    perform telegram.show_generation_3(n, incomparable);
    perform telegram.add_functions();
    perform telegram.grant_access();
end
$function$;
revoke execute on function telegram.show_generation(integer, boolean) from public;

do $block$
declare
    known integer;
begin
    for known in select generation from telegram.generations loop
        perform telegram.add_statistics(known);
        perform telegram.count_hours(known);
    end loop;
    for known in select generation from telegram.generations where shown loop
        perform telegram.show_generation(known);
    end loop;
end
$block$;
