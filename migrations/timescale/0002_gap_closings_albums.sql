-- What generations got after the first step. Done for those that exist, and for each new one.
create function telegram.add_gap_closings_albums(n integer) returns void
language plpgsql set search_path = pg_catalog as $function$
declare
    g text := 'telegram_g' || n;
begin
    -- How the search for what a gap hides ended. A gap is known by its peer and its ends.
    execute format($ddl$
        create table %1$I.gap_closing (
            seq              bigint primary key,
            peer_id          bigint,
            after_pts        bigint,
            until_pts        bigint,
            after_message_id bigint,
            until_message_id bigint,
            outcome          text not null,
            found            bigint not null,
            closed_at        timestamptz not null
        )$ddl$, g);

    execute format($ddl$
        create or replace view %1$I.gaps as
        select g.seq, g.peer_id, g.cause, g.after_pts, g.until_pts, g.after_message_id, g.until_message_id, g.noticed_at,
               c.closed_at, c.outcome, c.found
        from %1$I.gap g
        left join %1$I.gap_closing c on c.seq = (
            select max(o.seq) from %1$I.gap_closing o
            where o.seq > g.seq and o.peer_id is not distinct from g.peer_id
              and o.after_pts is not distinct from g.after_pts and o.until_pts is not distinct from g.until_pts
              and o.after_message_id is not distinct from g.after_message_id
              and o.until_message_id is not distinct from g.until_message_id
        )$ddl$, g);

    -- Albums, each as one item once its parts have been quiet for two seconds: Telegram sends them one by one and does
    -- not say how many there are. Deleted parts are left out.
    execute format('create index message_content_album on %I.message_content (peer_id, grouped_id, message_id) '
                   'where grouped_id is not null', g);
    execute format($ddl$
        create view %1$I.albums as
        select p.peer_id, p.grouped_id, min(p.message_id) as message_id, min(p.posted_at) as posted_at,
               max(p.received_at) as received_at, count(*) as parts,
               (array_agg(p.text order by p.message_id) filter (where p.text <> ''))[1] as text,
               jsonb_agg(p.message_id order by p.message_id) as message_ids,
               jsonb_agg(p.media order by p.message_id) as media
        from %1$I.message_content p
        left join %1$I.message_state s on s.peer_id = p.peer_id and s.message_id = p.message_id
        where p.grouped_id is not null and s.deleted_at is null
        group by p.peer_id, p.grouped_id
        having max(p.received_at) < now() - interval '2 seconds'$ddl$, g);
end
$function$;

alter function telegram.create_generation(integer, interval) rename to create_generation_1;

-- Makes the tables and views of generation n: the first step's, and what was added since.
create function telegram.create_generation(n integer, chunk interval) returns void
language plpgsql set search_path = pg_catalog as $function$
begin
    perform telegram.create_generation_1(n, chunk);
    perform telegram.add_gap_closings_albums(n);
end
$function$;

-- Points the public views at generation n. The one shown before stays as it is, for a way back.
create or replace function telegram.show_generation(n integer) returns void
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
    foreach name in array array['messages', 'message_versions', 'channels', 'channel_names', 'gaps', 'albums'] loop
        execute format('create or replace view telegram.%1$I as select * from %2$I.%1$I', name, g);
    end loop;
end
$function$;

do $block$
declare
    known integer;
begin
    for known in select generation from telegram.generations loop
        perform telegram.add_gap_closings_albums(known);
    end loop;
    for known in select generation from telegram.generations where shown loop
        perform telegram.show_generation(known);
    end loop;
end
$block$;
