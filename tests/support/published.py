"""Files as agencies and loggers write them, in `tests/tables/published/`, and what they hold.

Each has the exact form of its publisher, and numbers of our own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

#: What the log says of text that is not UTF-8; it is right, so that no option is needed.
ENCODING = "is not UTF-8"


@dataclass(frozen=True)
class Published:
    """A published file.

    Attributes
    ----------
    file : str
        Its name.
    right : dict
        What some columns hold when it is read with the options that the documentation names.
    plain : dict
        What some columns hold when it is read without options, if they differ.
    says : list of str
        What the log, or the refusal, says without options.
    is_refused : bool
        Whether it is refused without options.
    """

    file: str
    right: dict[str | int, list[Any]]
    plain: dict[str | int, list[Any]] = field(default_factory=dict)
    says: list[str] = field(default_factory=list)
    is_refused: bool = False


PUBLISHED = {
    "USGS, daily values": Published(
        "usgs_daily.txt",
        {
            "site_no": ["01999990"] * 5,
            "datetime": [f"2021-01-0{day}" for day in range(1, 6)],
            "98765_00060_00003": [112, 98.4, None, None, 87],
            "98765_00060_00003_cd": ["A", "A", "A", None, "A:e"],
        },
        {"98765_00060_00003": ["112", "98.4", "Ice", None, "87.0"]},
        ["98765_00060_00003: is text, as 'Ice' in line 20"],
    ),
    "USGS, instantaneous values": Published(
        "usgs_instantaneous.txt",
        {
            "datetime": [f"2021-07-01 04:{minute}+00:00" for minute in ("00", "15", "30", "45")],
            "98766_00065": [3.17, 3.19, None, 3.24],
        },
        {
            "datetime": [f"2021-07-01 00:{minute}" for minute in ("00", "15", "30", "45")],
            "tz_cd": ["EDT"] * 4,
            "98766_00065": ["3.17", "3.19", "Eqp", "3.24"],
        },
        ["98766_00065: is text, as 'Eqp' in line 9"],
    ),
    "USGS, sites": Published(
        "usgs_sites.txt",
        {
            "site_no": ["01999990", "01999991"],
            "station_nm": ['MADE UP CREEK AT "THE BEND", PA', "OTHER CREEK NR NOWHERE, PA"],
            "dec_lat_va": [40.12345, 40.2],
            "dec_long_va": [-75.54321, -75.6],
            "alt_va": [105.2, None],
            "alt_acy_va": [0.01, None],
            "huc_cd": ["02040105", "02040106"],
        },
    ),
    "GRDC, daily": Published(
        "grdc_daily.txt",
        {
            "YYYY-MM-DD": ["1990-12-30", "1990-12-31", "1991-01-01", "1991-01-02"],
            "Value": [17.25, None, 21, 103.875],
        },
        {"Value": [17.25, -999, 21, 103.875]},
        [ENCODING, '"missing": [-999]'],
    ),
    "GRDC, monthly": Published(
        "grdc_monthly.txt",
        {
            "YYYY-MM-DD": ["1990-11-01", "1990-12-01", "1991-01-01", "1991-02-01"],
            "Original": [None, None, 40.5, 33],
            "Calculated": [18.42, 25.111, 40.493, None],
            "Flag": [100, 97, 100, 0],
        },
        {"YYYY-MM-DD": ["1990-11-00", "1990-12-00", "1991-01-00", "1991-02-00"]},
        [ENCODING, "YYYY-MM-DD: is text, as '1990-11-00' in line", '"missing": [-999]'],
    ),
    "DWD, daily": Published(
        "dwd_daily.txt",
        {
            "MESS_DATUM": ["2021-01-01", "2021-01-02", "2021-01-03", "2021-01-04"],
            "FX": [9.4, 12.1, None, 7.7],
            "RSK": [0, 2.7, None, 11.8],
            "SDK": [0, 1.25, None, 0],
            "TMK": [1.3, -0.4, -2.2, 0],
        },
        {"MESS_DATUM": [20210101, 20210102, 20210103, 20210104], "RSK": [0, 2.7, -999, 11.8]},
        ['"times": "MESS_DATUM"', "RSK: -999 in 1 row ", '"missing": [-999]'],
    ),
    "DWD, hourly": Published(
        "dwd_hourly.txt",
        {
            "MESS_DATUM": [f"2021-01-01 0{hour}:00+00:00" for hour in range(3)],
            "TT_TU": [1.1, 0.9, None],
            "RF_TU": [93, 94, None],
        },
        {"MESS_DATUM": [2021010100, 2021010101, 2021010102], "TT_TU": [1.1, 0.9, -999]},
        ['"times": "MESS_DATUM"', '"missing": [-999]'],
    ),
    "KNMI, daily": Published(
        "knmi_daily.txt",
        {
            "STN": [998] * 4,
            "YYYYMMDD": ["2021-01-01", "2021-01-02", "2021-01-03", "2021-01-04"],
            "TG": [23, -14, None, 31],
            "RH": [-1, 0, 57, 112],
            "EV24": [2, 3, None, 1],
        },
        {"YYYYMMDD": [20210101, 20210102, 20210103, 20210104]},
        ['"times": "YYYYMMDD"'],
    ),
    "KNMI, `etmgeg`": Published(
        "knmi_etmgeg.txt",
        {
            "STN": [998] * 4,
            "YYYYMMDD": ["2021-01-01", "2021-01-02", "2021-01-03", "2021-01-04"],
            "TG": [23, -14, None, 31],
            "RH": [-1, 0, 57, 112],
        },
        {"YYYYMMDD": [20210101, 20210102, 20210103, 20210104]},
        ["8 lines above the table", '"times": "YYYYMMDD"'],
    ),
    "KNMI, hourly": Published(
        "knmi_hourly.txt",
        {
            "YYYYMMDD": [
                "2021-01-01 22:00",
                "2021-01-01 23:00",
                "2021-01-02 00:00",
                "2021-01-02 01:00",
            ],
            "T": [23, 21, 18, 15],
            "RH": [0, -1, 4, None],
        },
        {"YYYYMMDD": [20210101, 20210101, 20210101, 20210102], "HH": [22, 23, 24, 1]},
        ['"times": ["YYYYMMDD", "HH"]'],
    ),
    "DINO, groundwater": Published(
        "dino.csv",
        {
            "Locatie": ["B99Z0001"] * 6,
            "Filternummer": ["001"] * 6,
            "Peildatum": [
                *("2001-03-14", "2001-03-28", "2001-04-14"),
                *("2001-04-28", "2001-05-14", "2001-05-28"),
            ],
            "Stand (cm t.o.v. NAP)": [221, 225, None, 212, 208, 201],
            "Bijzonderheid": [None, None, "D", None, None, None],
        },
        {"Stand (cm t.o.v. MV)": [89, 85, None, 98, 102, 109]},
        ["16 lines above the table", '"times": "Peildatum"'],
    ),
    "WISKI, csv": Published(
        "wiski.csv",
        {
            "Timestamp": [f"2020-12-31 23:{minute}+00:00" for minute in ("00", "15", "30", "45")],
            "Value": [12.5, 12.75, None, 13],
            "Quality Code": [40, 40, 255, 80],
        },
        says=["5 lines above the table"],
    ),
    "WISKI, German": Published(
        "wiski_de.csv",
        {
            "Datum": [
                *("2020-12-31 23:00+00:00", "2020-12-31 23:15+00:00"),
                *("2020-12-31 23:30+00:00", "2021-01-12 23:45+00:00"),
            ],
            "Wert[m³/s]": [12.5, 12.75, None, 1013],
        },
        {
            "Datum": ["01.01.2021", "01.01.2021", "01.01.2021", "13.01.2021"],
            "Wert[m³/s]": [12.5, 12.75, None, 1013],
        },
        [ENCODING, "5 lines above", "1 cell taken as missing: ---", '"times": ["Datum", "Zeit"]'],
    ),
    "WISKI, ZRXP": Published(
        "wiski_zrxp.txt",
        {
            0: [f"2021-01-01 00:{minute}" for minute in ("00", "15", "30", "45")],
            1: [12.5, 12.75, None, 13],
        },
        {0: [20210101000000, 20210101001500, 20210101003000, 20210101004500]},
        ['"times": "0"', '"missing": [-777]'],
    ),
    "ECA&D": Published(
        "ecad.txt",
        {
            "SOUID": [999001, 999001, 999002, 999002],
            "DATE": ["1920-02-29", "1920-03-01", "1920-03-02", "1920-03-03"],
            "TG": [-21, None, 14, 107],
            "Q_TG": [0, 9, 0, 1],
        },
        {"TG": [-21, -9999, 14, 107]},
        ["19 lines above the table", '"times": "DATE"', '"missing": [-9999]'],
    ),
    "CAMELS-US, streamflow": Published(
        "camels_us_streamflow.txt",
        {
            0: ["01999990"] * 4,
            1: ["1980-10-01", "1980-10-02", "1980-10-03", "1980-10-04"],
            4: [655, 640.5, None, 605],
            5: ["A", "A", "M", "A:e"],
        },
        {1: [1980] * 4, 2: [10] * 4, 3: ["01", "02", "03", "04"], 4: [655, 640.5, -999, 605]},
        ['"missing": [-999]'],
    ),
    "CAMELS-US, forcing": Published(
        "camels_us_forcing.txt",
        {
            "Year": ["1980-01-01 12:00", "1980-01-02 12:00", "1980-01-03 12:00"],
            "dayl(s)": [30172.51, 30253.1, 30344],
            "prcp(mm/day)": [0, 1.25, 0],
            "vp(Pa)": [171.69, 185.94, 138.39],
        },
        {"Year": [1980] * 3, "Mnth": ["01"] * 3, "Day": ["01", "02", "03"], "Hr": [12] * 3},
        ["3 lines above the table"],
    ),
    "CAMELS-GB": Published(
        "camels_gb.csv",
        {
            "date": ["1970-10-01", "1970-10-02", "1970-10-03"],
            "precipitation": [0.17, 4.2, 0],
            "discharge_vol": [None, 6.213, 7.154],
        },
        says=["discharge_vol: 1 cell taken as missing: NaN"],
    ),
    "Rijkswaterstaat Waterinfo": Published(
        "rws_waterinfo.csv",
        {
            "MEETPUNT_IDENTIFICATIE": ["Nergenshuizen"] * 4,
            "WAARNEMINGDATUM": [
                *("2021-04-30 23:00+00:00", "2021-04-30 23:10+00:00"),
                *("2021-04-30 23:20+00:00", "2021-04-30 23:30+00:00"),
            ],
            "NUMERIEKEWAARDE": [-44.5, -41, None, 102],
            "X": [586550.994420996] * 4,
        },
        {"WAARNEMINGDATUM": ["01-05-2021"] * 4, "NUMERIEKEWAARDE": [-44.5, -41, 999999999, 102]},
        [
            '"times": {"columns": ["WAARNEMINGDATUM", "WAARNEMINGTIJD (MET/CET)"], '
            '"format": "%d-%m-%Y %H:%M:%S"}',
            "NUMERIEKEWAARDE: 999999999 in 1 row ",
            '"missing": [999999999]',
        ],
    ),
    "EA, hydrology": Published(
        "ea_hydrology.csv",
        {
            "dateTime": [f"2021-02-0{day} 09:00" for day in range(1, 5)],
            "value": [0.873, None, 1.25, 1.4],
            "quality": ["Good", "Missing", "Estimated", "Good"],
        },
        {"date": [f"2021-02-0{day}" for day in range(1, 5)]},
    ),
    "NRFA": Published(
        "nrfa.csv",
        {0: [f"1990-10-0{day}" for day in range(1, 6)], 1: [5.748, 5.5, None, 4.446, 12]},
        says=["'database' in line 2", "line 17", '"skip": 16'],
        is_refused=True,
    ),
    "GHCN-Daily, a station": Published(
        "ghcn_daily.csv",
        {
            "DATE": ["2021-01-01", "2021-01-02", "2021-01-03"],
            "LATITUDE": [31.0581] * 3,
            "NAME": ["NOWHERE 3 SSE, AL US"] * 3,
            "PRCP": [152, 0, 25],
            "PRCP_ATTRIBUTES": [",,7,0700", "T,,7,0700", ",,7,0700"],
            "TMAX": [217, None, -17],
        },
    ),
    "GHCN-Daily, a year": Published(
        "ghcn_by_year.csv",
        {
            1: ["2021-01-01", "2021-01-01", "2021-01-02", "2021-01-03"],
            2: ["TMAX", "PRCP", "PRCP", "PRCP"],
            3: [217, 152, 0, 25],
            7: [None, "0700", "0700", "0700"],
        },
        {1: [20210101, 20210101, 20210102, 20210103]},
        ['"times": "1"'],
    ),
    "GHCN-Daily, `dly`": Published(
        "ghcn_dly.txt", {}, says=["numbers in its first row", '"header"'], is_refused=True
    ),
    "Campbell TOA5": Published(
        "campbell_toa5.dat",
        {
            "TIMESTAMP": ["2021-05-14 12:00", "2021-05-14 12:10", "2021-05-14 12:20"],
            "RECORD": [101, 102, 103],
            "AirTC_Avg": [11.52, None, 11.31],
            "Rain_mm_Tot": [0, 0.2, 1.4],
            "WindDir": [271.5, None, 12],
        },
        says=["units: TS, RN, Deg C, mm, degrees", "AirTC_Avg: 1 cell taken as missing: NAN"],
    ),
    "HOBO": Published(
        "hobo.csv",
        {
            "#": [1, 2, 3, 4, 5],
            "Date Time, GMT+01:00": [
                *("2021-05-14 10:45+00:00", "2021-05-14 11:00+00:00", "2021-05-14 11:15+00:00"),
                *("2021-05-14 12:00+00:00", "2021-05-14 12:02:13+00:00"),
            ],
            "Temp, °C (LGR S/N: 99999, SEN S/N: 99999)": [11.528, 11.431, None, 11.334, None],
        },
        {
            "Date Time, GMT+01:00": [
                *("05/14/21 11:45:00 AM", "05/14/21 12:00:00 PM", "05/14/21 12:15:00 PM"),
                *("05/14/21 01:00:00 PM", "05/14/21 01:02:13 PM"),
            ]
        },
        [
            "1 line above the table",
            '"times": {"columns": "Date Time, GMT+01:00", "format": "%m/%d/%y %I:%M:%S %p"}',
        ],
    ),
    "Solinst": Published(
        "solinst.csv",
        {
            "Date": ["2021-05-14 12:00", "2021-05-14 12:15", "2021-05-14 12:30"],
            "LEVEL": [1.2345, 1.235, 1.241],
            "TEMPERATURE": [11.523, 11.481, 11.412],
        },
        {"Date": ["2021/05/14"] * 3, "Time": ["12:00:00", "12:15:00", "12:30:00"]},
        [ENCODING, "11 lines above the table", '"times": ["Date", "Time"]'],
    ),
    "Solinst, North America": Published(
        "solinst_am.csv",
        {
            "Date": ["2021-05-14 11:45", "2021-05-14 12:00", "2021-05-14 13:15"],
            "ms": [0, 500, 0],
            "LEVEL": [1.2345, 1.235, 1.241],
        },
        {"Date": ["05/14/2021"] * 3},
        ["9 lines above the table", '"times": ["Date", "Time"]'],
    ),
    "ThingSpeak, csv": Published(
        "thingspeak.csv",
        {
            "created_at": [
                *("2021-02-18 21:46:23+00:00", "2021-02-18 21:47:25+00:00"),
                "2021-02-18 21:48:27+00:00",
            ],
            "field1": [21.5, None, 21.75],
            "field2": [1013, 1012, 1011],
        },
    ),
    "ThingSpeak, JSON": Published(
        "thingspeak.json",
        {
            "created_at": [
                *("2021-02-18 21:46:23+00:00", "2021-02-18 21:47:25+00:00"),
                "2021-02-18 21:48:27+00:00",
            ],
            "field1": [21.5, None, 21.75],
            "field2": [1013, 1012, 1011],
        },
        says=['"records": "feeds"'],
        is_refused=True,
    ),
    "openSenseMap, csv": Published(
        "opensensemap.csv",
        {
            "sensorId": ["000000000000000000000001"] * 3,
            "createdAt": [
                *("2021-05-14 12:02:11+00:00", "2021-05-14 12:01:10.500+00:00"),
                "2021-05-14 12:00:09+00:00",
            ],
            "value": [11.31, 11.5, 11.52],
        },
    ),
    "openSenseMap, JSON": Published(
        "opensensemap.json",
        {
            "createdAt": [
                *("2021-05-14 12:02:11+00:00", "2021-05-14 12:01:10.500+00:00"),
                "2021-05-14 12:00:09+00:00",
            ],
            "value": [11.31, 11.5, 11.52],
        },
    ),
    "USGS, WaterML in JSON": Published(
        "usgs_waterml.json",
        {
            "dateTime": [f"2021-07-01 04:{minute}+00:00" for minute in ("00", "15", "30")],
            "value": [112, None, 110.5],
        },
        says=['"records": "value.timeSeries.0.values.0.value"'],
        is_refused=True,
    ),
    "Hub'Eau": Published(
        "hubeau.json",
        {
            "date_obs": [f"2021-05-14 12:{minute}+00:00" for minute in ("00", "05", "10")],
            "resultat_obs": [12500, None, 13000],
        },
        says=['"records": "data"'],
        is_refused=True,
    ),
    "Excel, German csv": Published(
        "excel_german.csv",
        {
            "Datum": ["2020-12-30", "2020-12-31", "2021-01-01", "2021-01-02"],
            "Abfluss [m³/s]": [12.5, 1250.25, 987.125, None],
            "Wasserstand [cm]": [132, 498, 455, None],
            "Bemerkung": [None, "Hochwasser; Scheitel", None, "Ausfall"],
        },
        says=["1.250,25 in line 3", '"thousands"'],
        is_refused=True,
    ),
}
