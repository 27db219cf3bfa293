-- The ingest half: every position of every driver, once.
-- A position is identified by driver and time, so that sending it again changes nothing. Times are the driver's own, to the
-- microsecond. Partitions are UTC days (driver_locations_YYYYMMDD); waybill-ingest attaches them, ahead and when a late point
-- needs one, and drops them by its retention.
-- Wide columns first: a row has no holes.
-- The key carries the whole row: a driver's points lie far apart in the table, which is in the order of arrival, and side by
-- side in the key, so that an hour of a driver is read from a few pages of it (docs/adr/0010).

CREATE TABLE driver_locations (
    recorded_at   timestamptz       NOT NULL,
    received_at   timestamptz       NOT NULL,
    lat           double precision  NOT NULL,
    long          double precision  NOT NULL,
    accuracy_m    real,
    heading_deg   real,
    speed_mps     real,
    marks         smallint          NOT NULL DEFAULT 0,
    driver_id     text              COLLATE "C" NOT NULL,
    CONSTRAINT driver_locations_once PRIMARY KEY (driver_id, recorded_at)
        INCLUDE (lat, long, accuracy_m, heading_deg, speed_mps, marks),
    CONSTRAINT driver_locations_on_earth CHECK (lat BETWEEN -90 AND 90 AND long BETWEEN -180 AND 180),
    CONSTRAINT driver_locations_id_length CHECK (length(driver_id) BETWEEN 1 AND 128)
) PARTITION BY RANGE (recorded_at);

-- Who was anywhere lately, whichever driver it is: points arrive nearly in the order of their times, so a summary of each
-- few pages finds them, and costs next to nothing to keep.
CREATE INDEX driver_locations_by_time ON driver_locations USING brin (recorded_at) WITH (pages_per_range = 32);
COMMENT ON COLUMN driver_locations.marks IS 'Bits: 1 speed jump, 2 poor accuracy';
