import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.util.Properties;
import java.util.UUID;

/** What tools that speak JDBC do: DBeaver, Metabase, reporting tools. Prints it. */
public final class Matrix {
    public static void main(String[] arguments) throws SQLException {
        Properties settings = new Properties();
        settings.setProperty("user", "reader");
        settings.setProperty("password", arguments[1]);
        settings.setProperty("connectTimeout", "20");
        settings.setProperty("socketTimeout", "30");
        try (Connection connection = DriverManager.getConnection(arguments[0], settings)) {
            metadata(connection);
            types(connection, "text");
            parameters(connection);
            portions(connection);
            refused(connection);
        }
        settings.setProperty("binaryTransfer", "true");
        settings.setProperty("prepareThreshold", "-1"); // binary at once
        try (Connection connection = DriverManager.getConnection(arguments[0], settings)) {
            types(connection, "binary");
            parameters(connection);
        }
        settings.setProperty("preferQueryMode", "simple");
        try (Connection connection = DriverManager.getConnection(arguments[0], settings)) {
            types(connection, "simple");
        }
        settings.setProperty("password", "wrong");
        try {
            DriverManager.getConnection(arguments[0], settings);
        } catch (SQLException error) {
            say("wrong password", error.getSQLState());
        }
    }

    private static void metadata(Connection connection) throws SQLException {
        DatabaseMetaData all = connection.getMetaData();
        say("catalog and schema", connection.getCatalog(), connection.getSchema());
        say("version", all.getDatabaseMajorVersion(), all.getMaxColumnNameLength(), all.getSQLKeywords().length() > 100);
        rows("schemas", all.getSchemas(), "TABLE_SCHEM");
        rows("tables", all.getTables(null, "public", "v_t%", new String[] {"TABLE", "VIEW"}), "TABLE_NAME", "TABLE_TYPE");
        say("found by a part", count(all.getTables(null, "public", "%", new String[] {"VIEW"})) > 30);
        rows("columns", all.getColumns(null, "public", "v_types", null), "COLUMN_NAME", "DATA_TYPE", "TYPE_NAME", "IS_NULLABLE");
        rows("meaning", all.getColumns(null, "public", "v_edges", "requests"), "REMARKS");
        say("keys", count(all.getPrimaryKeys(null, "public", "v_types")), count(all.getImportedKeys(null, "public", "v_types")),
                count(all.getExportedKeys(null, "public", "v_types")), count(all.getIndexInfo(null, "public", "v_types", false, false)),
                count(all.getBestRowIdentifier(null, "public", "v_types", 0, true)));
        say("types", count(all.getTypeInfo()) > 50, count(all.getUDTs(null, "public", "%", null)), count(all.getTableTypes()) > 3);
        say("functions", count(all.getFunctions(null, "public", "nothing%")), count(all.getProcedures(null, "public", "%")),
                count(all.getFunctionColumns(null, "public", "nothing%", null)), count(all.getTablePrivileges(null, "public", "v_types")));
    }

    private static void types(Connection connection, String form) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement("SELECT * FROM v_types ORDER BY number");
                ResultSet result = statement.executeQuery()) {
            ResultSetMetaData described = result.getMetaData();
            result.next();
            for (int i = 1; i <= described.getColumnCount(); i++) {
                say(form, described.getColumnName(i), described.getColumnTypeName(i), text(result, i));
            }
            say(form + " instant", result.getObject("seen_time", OffsetDateTime.class).toInstant(), result.getObject("id", UUID.class),
                    result.getObject("day", LocalDate.class), result.getBytes("raw").length,
                    ((Object[]) result.getArray("seen_by").getArray()).length, result.getBigDecimal("huge"));
            result.next();
            int nulls = 0;
            for (int i = 1; i <= described.getColumnCount(); i++) {
                nulls += result.getObject(i) == null ? 1 : 0;
            }
            say(form + " nulls", nulls, described.getColumnCount(), result.next());
        }
    }

    private static void parameters(Connection connection) throws SQLException {
        String query = "SELECT number FROM v_types WHERE whole = ? AND big = ? AND name LIKE ? AND seen_time >= ? AND yes = ?"
                + " AND confidence = ? AND id = ? AND day = ? AND share > ? AND ?::text IS NULL AND raw = ?";
        try (PreparedStatement statement = connection.prepareStatement(query)) {
            for (int i = 0; i < 7; i++) { // from the fifth on it is a statement of the server's
                statement.setInt(1, 70_000);
                statement.setLong(2, 9_007_199_254_740_993L);
                statement.setString(3, "Zürich%");
                statement.setObject(4, OffsetDateTime.parse("2026-11-20T01:02:03Z"));
                statement.setBoolean(5, true);
                statement.setBigDecimal(6, new BigDecimal("1.5"));
                statement.setObject(7, UUID.fromString("9f8e7d6c-0000-4000-8000-00000000002a"));
                statement.setObject(8, LocalDate.of(2026, 11, 20));
                statement.setDouble(9, 0.05);
                statement.setNull(10, java.sql.Types.VARCHAR);
                statement.setBytes(11, new byte[] {0, (byte) 0xff, '\\', 'a'});
                try (ResultSet result = statement.executeQuery()) {
                    say("parameters", result.next() ? result.getLong(1) : null);
                }
            }
        }
        try (PreparedStatement statement = connection.prepareStatement("SELECT count(*) FROM v_types WHERE number = ANY (?)")) {
            statement.setArray(1, connection.createArrayOf("int8", new Long[] {1L, 2L}));
            try (ResultSet result = statement.executeQuery()) {
                result.next();
                say("array", result.getLong(1));
            }
        }
        try (PreparedStatement statement = connection.prepareStatement("SELECT count(*) FROM v_types WHERE seen_time < ?")) {
            statement.setTimestamp(1, java.sql.Timestamp.from(java.time.Instant.parse("2026-12-01T00:00:00Z")));
            try (ResultSet result = statement.executeQuery()) {
                result.next();
                say("timestamp", result.getLong(1));
            }
        }
    }

    private static void portions(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        try (Statement statement = connection.createStatement()) {
            statement.setFetchSize(1_000);
            long sum = 0;
            try (ResultSet result = statement.executeQuery("SELECT range FROM range(5500)")) {
                while (result.next()) {
                    sum += result.getLong(1);
                }
            }
            say("portions", sum);
            statement.setMaxRows(3);
            say("at most", count(statement.executeQuery("SELECT range FROM range(10)")));
        }
        connection.commit();
        connection.setAutoCommit(true);
    }

    private static void refused(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            for (String query : new String[] {"DELETE FROM v_types", "SELECT nothing FROM v_types", "COPY v_types TO STDOUT"}) {
                try {
                    statement.execute(query);
                    say("refused", query, "answered");
                } catch (SQLException error) {
                    say("refused", query, error.getSQLState());
                }
            }
            statement.setQueryTimeout(1);
            try {
                statement.executeQuery("SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE (a.range * b.range) % 7 = 9");
            } catch (SQLException error) {
                say("given up", error.getSQLState());
            }
            statement.setQueryTimeout(0);
            say("and goes on", count(statement.executeQuery("SELECT 1")));
        }
    }

    private static String text(ResultSet result, int column) throws SQLException {
        Object value = result.getObject(column);
        return value instanceof byte[] bytes ? java.util.HexFormat.of().formatHex(bytes) : result.getString(column);
    }

    private static long count(ResultSet result) throws SQLException {
        long rows = 0;
        try (result) {
            while (result.next()) {
                rows++;
            }
        }
        return rows;
    }

    private static void rows(String name, ResultSet result, String... columns) throws SQLException {
        try (result) {
            while (result.next()) {
                Object[] values = new Object[columns.length];
                for (int i = 0; i < columns.length; i++) {
                    values[i] = result.getString(columns[i]);
                }
                say(name, values);
            }
        }
    }

    private static void say(String name, Object... values) {
        StringBuilder line = new StringBuilder(name);
        for (Object value : values) {
            line.append('|').append(value);
        }
        System.out.println(line);
    }
}
