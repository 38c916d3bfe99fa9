// Whether a dashboard's JSON is what Grafana's published types say. Run by check_types.py, which puts the JSON in.
import type { AnnotationQuery, Dashboard } from "@grafana/schema";

// In JSON the members of an enumeration are their values.
type Plain<T> = T extends string
  ? `${T}`
  : T extends readonly (infer One)[]
    ? Plain<One>[]
    : T extends object
      ? { [Key in keyof T]: Plain<T[Key]> }
      : T;

// What Prometheus's plugin reads of an annotation beyond what all plugins do.
type Mark = AnnotationQuery & { target?: { expr: string; range: boolean }; titleFormat: string };

type Ours = Plain<Omit<Dashboard, "annotations">> & { annotations: { list: Plain<Mark>[] } };

export const dashboard = (/* JSON */) satisfies Ours;
