-- What makes a load fast.

-- Takes all indexes off the messages of generation n but their key. Made at the end, of rows that are there, they cost a
-- fraction of what they cost row by row.
create function telegram.strip_indexes(n integer) returns void
language plpgsql set search_path = pg_catalog as $function$
declare
    g text := 'telegram_g' || n;
    name text;
begin
    -- One by one: TimescaleDB drops no index of a hypertable together with others.
    foreach name in array array['peer', 'newest', 'album', 'seq'] loop
        execute format('drop index if exists %I.%I', g, 'message_content_' || name);
    end loop;
end
$function$;

-- Makes those that generation n has not got.
create function telegram.make_indexes(n integer) returns void
language plpgsql set search_path = pg_catalog as $function$
declare
    g text := 'telegram_g' || n;
begin
    execute format('create index if not exists message_content_peer on %I.message_content '
                   '(peer_id, posted_at desc, message_id desc)', g);
    execute format('create index if not exists message_content_newest on %I.message_content (posted_at desc)', g);
    execute format('create index if not exists message_content_album on %I.message_content '
                   '(peer_id, grouped_id, message_id) where grouped_id is not null', g);
    execute format('create index if not exists message_content_seq on %I.message_content (seq)', g);
end
$function$;
revoke execute on function telegram.strip_indexes(integer), telegram.make_indexes(integer) from public;

-- Counts all hours of generation n anew, in one pass over its rows, as count_hour counts one; nobody may write to it
-- meanwhile. Hour by hour, a long history took longer than its load. Hours of messages that it does not keep are those
-- that the one shown counted while it had them.
create or replace function telegram.count_hours(n integer) returns void
language plpgsql set search_path = pg_catalog as $function$
declare
    g text := 'telegram_g' || n;
    earliest timestamptz := (select since from telegram.generations where generation = n);
    shown integer := (select generation from telegram.generations where generations.shown);
begin
    execute format('truncate %1$I.message_hour, %1$I.message_hour_stale', g);
    execute format($sql$
        insert into %1$I.message_hour
        select c.peer_id, date_trunc('hour', c.posted_at, 'UTC'), count(*),
               coalesce(sum(greatest(coalesce(v.versions, 0) + c.versioned::integer - 1, 0)), 0),
               count(s.deleted_at), count(c.media_kind), count(*) filter (where c.origin = 'live'),
               coalesce(sum(extract(epoch from c.received_at - c.posted_at) * 1000000)
                        filter (where c.origin = 'live'), 0),
               max(c.received_at - c.posted_at) filter (where c.origin = 'live')
        from %1$I.message_content c
        left join %1$I.message_state s on s.peer_id = c.peer_id and s.message_id = c.message_id
        left join (
            select peer_id, message_id, posted_at, count(*) as versions from %1$I.message_version group by 1, 2, 3
        ) v on v.peer_id = c.peer_id and v.message_id = c.message_id and v.posted_at = c.posted_at
        group by 1, 2$sql$, g);
    if earliest is not null and shown <> n then
        execute format('insert into %I.message_hour select * from %I.message_hour where hour < $1 on conflict do nothing',
                       g, 'telegram_g' || shown) using earliest;
    end if;
end
$function$;
