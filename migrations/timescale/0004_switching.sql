-- A generation is being built until it is shown for the first time; when another one is shown, it is kept for a way back.
alter table telegram.generations
    add column made_at   timestamptz not null default now(),
    -- since when it is shown, or was before; none while it is being built
    add column shown_at  timestamptz,
    -- since when another one is shown in its place
    add column hidden_at timestamptz;
update telegram.generations set shown_at = now() where shown;

drop function telegram.show_generation(integer);

-- Points the public views at generation n, and keeps the one shown before. From the first statement on, no batch of the
-- live projection is under way, and the next one finds itself moved. A reader must not be taken back: n has to have come
-- as far as the one shown, unless the two cannot be compared.
create function telegram.show_generation(n integer, incomparable boolean default false) returns void
language plpgsql set search_path = pg_catalog as $function$
declare
    g text := 'telegram_g' || n;
    before integer := (select generation from telegram.generations where shown);
    name text;
begin
    if not exists (select from telegram.generations where generation = n) then
        raise exception 'there is no generation %', n using errcode = 'undefined_object';
    end if;
    if before <> n then
        -- 'tgw' in ASCII: the lock that each writer of a generation holds
        perform pg_advisory_xact_lock(7628663, before);
        if not incomparable and exists (
            select from telegram.checkpoints b where b.projection = 'timescale' and b.generation = before and not exists (
                select from telegram.checkpoints c
                where c.projection = 'timescale' and c.generation = n
                  and c.log_id = b.log_id and (c.epoch, c.seq) >= (b.epoch, b.seq)
            )
        ) then
            raise exception 'generation % has not come as far as generation %', n, before
                using errcode = 'object_not_in_prerequisite_state';
        end if;
        update telegram.generations set shown = false, hidden_at = now() where generation = before;
    end if;
    update telegram.generations set shown = true, shown_at = now(), hidden_at = null where generation = n;
    -- every view of a generation is public
    for name in select viewname from pg_views where schemaname = g order by viewname loop
        execute format('create or replace view telegram.%1$I as select * from %2$I.%1$I', name, g);
    end loop;
end
$function$;
