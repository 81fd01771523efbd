"""`nc.concept_contributions`: what concept vectors of a layer contribute to a later one."""
